"""The threads of this process: workers for jobs that wait, a timer that rings alarms, and locks.

Signal handlers and finalizers (``__del__``) may use all of it, also in the middle of itself. No thread is started before its
first use. A child process has threads and locks of its own, and so has a program that gevent has patched meanwhile.
"""

from nydus_core.threads.forks import Renewable, refuse_eventlet, renew_after_fork
from nydus_core.threads.futures import Future
from nydus_core.threads.locks import Bell, Lock
from nydus_core.threads.timer import Alarm, set_alarm
from nydus_core.threads.workers import in_thread, start

__all__ = [
    "Alarm",
    "Bell",
    "Future",
    "Lock",
    "Renewable",
    "in_thread",
    "refuse_eventlet",
    "renew_after_fork",
    "set_alarm",
    "start",
]
