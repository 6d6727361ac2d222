"""What holds for all tests: their plugins, and Ctrl-C."""

import signal

import yaml  # noqa: F401 - an in-process run of pytester forgets what it imported, and libyaml must not be loaded twice

pytest_plugins = ["pytester"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts pytest in the background has it ignore Ctrl-C, and so would the runs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
