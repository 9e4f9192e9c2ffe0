"""Whether this machine's processor computes in bfloat16, or would only imitate it."""

from pathlib import Path

from libs.common.errors import InvalidInput

PROCESSORS = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As Linux names the instructions: AVX-512 and AMX on x86-64, and ARM's."""


def check_bfloat16(processors: Path = PROCESSORS) -> None:
    """
    Refuse bfloat16 where it would be slower than float32, which it is without instructions for it.

    Raises:
        InvalidInput: the processor has none, or the system does not tell.
    """
    try:
        told = processors.read_text("utf-8")
    except OSError as error:
        raise _refusal(f"{processors} does not tell what the processor has") from error
    flags = {
        flag
        for line in told.splitlines()
        if line.lower().startswith(("flags", "features"))
        for flag in line.partition(":")[2].split()
    }
    if not flags & BFLOAT16_FLAGS:
        raise _refusal(f"the processor has none of {', '.join(sorted(BFLOAT16_FLAGS))}")


def _refusal(reason: str) -> InvalidInput:
    return InvalidInput(f"precision 'bfloat16': {reason}; 'fp32' is accepted on this machine")
