"""`otp-service` that starts its workers as it does on macOS: each in a new interpreter."""

from __future__ import annotations

import platform

from otp_service.cli import main

if __name__ == "__main__":
    platform.system = lambda: "Darwin"
    main()
