"""`otp-service` without pacing: `python -m tests.fuzz.unpaced_service dev --config ...`.

Pacing delays responses of a caller that gets very many of them while there are other callers, as requests with a wrong
key are. It changes no response, and a run with tens of thousands of requests would take hours.
"""

from __future__ import annotations

from typing import Final

from otp_service.api import response_pacing
from otp_service.cli import main

UNLIMITED: Final = 1e9

if __name__ == "__main__":
    for name in ("ERRORS_PER_SECOND", "OTHER_RESPONSES_PER_SECOND"):
        getattr(response_pacing, name)  # it has another name now, if this fails
        setattr(response_pacing, name, UNLIMITED)
    main()
