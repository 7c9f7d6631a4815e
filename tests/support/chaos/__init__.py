"""The proof of what Nydus promises about failures: random schedules of faults, real servers, and a judge.

Reading order: ``schedule`` what happens, made from a seed; ``record`` what callers saw, and what the servers have done;
``judge`` whether the two agree. These are pure. ``servers`` real ones that tell the truth, ``calls`` the commands of each
engine. ``runs`` is a run but for its callers: they are threads in ``blocking``, tasks in ``tasks``, and ``runner`` takes the
ones or the others. ``report`` counts, ``__main__`` is the command line: ``make chaos``.
"""
