import os
import threading

from gatepost.receiver.processes.wake import Wake


def test_it_stays_set_until_it_is_cleared() -> None:
    wake = Wake()
    assert not wake.wait(0)
    wake.set()
    wake.set()
    assert wake.wait(0)
    assert wake.wait(0)
    wake.clear()
    assert not wake.wait(0)
    wake.clear()  # nothing is there to take back
    wake.close()


def test_a_process_that_was_forked_wakes_a_thread_of_this_one() -> None:
    wake, woken = Wake(), threading.Event()
    waiting = threading.Thread(target=lambda: wake.wait(20) and woken.set())
    waiting.start()
    pid = os.posix_spawn("/bin/true", ["/bin/true"], {})
    os.waitpid(pid, 0)
    assert not woken.is_set()
    writer = os.dup(wake._handle)  # what a child would have
    os.eventfd_write(writer, 1)
    os.close(writer)
    waiting.join(20)
    assert woken.is_set()
    wake.close()


def test_after_it_is_closed_it_does_nothing() -> None:
    wake = Wake()
    wake.close()
    wake.close()
    wake.set()
