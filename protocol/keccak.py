"""Keccak-256 through pycryptodome's own C code, without its Python layer.

That layer loads cffi, whose C parser costs a third of the command's start, or else starts a subprocess to ask
for the machine's word size; and it takes longer than the hash itself. Where the C functions cannot be called,
or do not answer the known digest, the ordinary interface is used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

_CAPACITY = 64
_ROUNDS = 24
_PADDING = 0x01
_LENGTH = 32
_OF_EMPTY = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")

Digest = Callable[[bytes], bytes]


def _library() -> ctypes.CDLL | None:
    spec = find_spec("Crypto.Hash")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for suffix in EXTENSION_SUFFIXES:
            try:
                return ctypes.PyDLL(f"{folder}/_keccak{suffix}")
            except OSError:
                continue
    return None


def _direct(library: ctypes.CDLL) -> Digest:
    init, absorb = library.keccak_init, library.keccak_absorb
    digest, destroy = library.keccak_digest, library.keccak_destroy
    init.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_uint8)
    absorb.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    digest.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint8)
    destroy.argtypes = (ctypes.c_void_p,)
    pointer, byref, buffer = ctypes.c_void_p, ctypes.byref, ctypes.create_string_buffer

    def keccak256(data: bytes) -> bytes:
        state = pointer()
        if init(byref(state), _CAPACITY, _ROUNDS):
            raise MemoryError("keccak state")
        try:
            out = buffer(_LENGTH)
            if absorb(state, bytes(data), len(data)) or digest(state, out, _LENGTH, _PADDING):
                raise MemoryError("keccak state")
            return out.raw
        finally:
            destroy(state)

    return keccak256


def _ordinary() -> Digest:
    from Crypto.Hash import keccak

    def keccak256(data: bytes) -> bytes:
        return keccak.new(data=data, digest_bits=256).digest()

    return keccak256


def implementation() -> Digest:
    """The fast way if it works here, else the ordinary one."""
    try:
        library = _library()
        if library is not None:
            direct = _direct(library)
            if direct(b"") == _OF_EMPTY:
                return direct
    except (AttributeError, OSError, ImportError):
        pass
    return _ordinary()
