"""Where torch.compile keeps its results."""

from __future__ import annotations

import os

from basicsr.utils.user_cache import user_cache

_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def keep_compiled_code() -> None:
    """Have torch.compile keep what it makes in the user's cache, so that later runs compile it no more.

    By default it lies in the temporary folder, which most systems empty. Does nothing where the environment
    sets ``TORCHINDUCTOR_CACHE_DIR``, or the cache cannot be written.
    """
    # The compiler takes a second to import, which only those who compile should wait for.
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    # PyTorch writes its own default into the environment as soon as a part of the compiler is imported.
    if os.environ.get(_VARIABLE, default_cache_dir()) != default_cache_dir():
        return
    folder = user_cache("compiled")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ[_VARIABLE] = str(folder)
