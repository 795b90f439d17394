"""What holds for all tests."""

import signal

from hypothesis import HealthCheck, settings

# A shell that runs pytest in the background has it ignore Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, however busy the machine is.
settings.register_profile(
    "tastemaker", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tastemaker")
