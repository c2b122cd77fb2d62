"""What is taken as audio: anything whose bytes lie in memory without gaps."""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # a NumPy array is a Buffer to a type checker only from Python 3.12 on
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = ["AudioData"]

AudioData: TypeAlias = "Buffer | NDArray[np.int16] | NDArray[np.uint8]"
