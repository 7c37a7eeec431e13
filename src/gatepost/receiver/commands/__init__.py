"""Define the receiver's commands, except ``serve``.

``accounts``  ``gatepost accounts``
``audit``     ``gatepost audit``
``config``    ``gatepost config``, and the options that commands share
``forward/``  ``gatepost forward``
``store``     ``gatepost backup``, ``restore`` and ``check-store``
``tokens``    ``gatepost tokens``
"""
