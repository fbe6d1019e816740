"""Reading weights out of files that torch.save wrote, without running anything that is written in them.

Such a file is a pickle, and unpickling calls whatever the file names. Nothing is called here: the pickle is only taken
apart into its opcodes (`pickletools.genops`), and those that build dicts, lists, tuples, numbers and strings are
carried out by a few lines below. A name in the file is kept as a name; where one is to be called, it must be one of
those that stand for a tensor or an ordered dict, which are then put together from their parts. Anything else is an
error. Read are both forms that torch has written: the archive (since 1.6), and the stream before it.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from talkinghead.errors import CheckpointError, MissingFileError

Arrays = dict[str, NDArray[Any]]

STREAM_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {
    f"{module} {kind}Storage": dtype
    for module in ("torch", "torch.cuda")
    for kind, dtype in {
        "Double": "<f8",
        "Float": "<f4",
        "Half": "<f2",
        "Long": "<i8",
        "Int": "<i4",
        "Short": "<i2",
        "Char": "<i1",
        "Byte": "<u1",
        "Bool": "?",
    }.items()
}
TENSORS = frozenset({"torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2"})
PARAMETER = "torch._utils _rebuild_parameter"
ORDERED_DICT = "collections OrderedDict"
LARGEST_DEPTH = 16
LARGEST_AXES = 32
LARGEST_COUNT = 100_000
"""Entries of all dicts together: a dict that lies in another one many times, and so on downwards, has no end."""
LARGEST_NAME = 1000
LARGEST_GROWTH = 4
"""All tensors together against the file: a storage may be shared by tensors, which are copied out of it one by one."""
UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError),
    *(TypeError, ValueError, struct.error, zlib.error, zipfile.BadZipFile),
)
"""What opcodes, archives and arrays raise over bytes that make no sense (NotImplementedError and RecursionError, of
unknown compression and of nesting, are RuntimeErrors)."""


@dataclass(frozen=True)
class _Name:
    """A global that the file names; it is never looked up."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """A stretch of numbers, by the key under which it lies in the file."""

    key: str
    dtype: str


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The tensor's own numbers, copied out of its storage."""
        if len(self.shape) != len(self.stride) or min((*self.shape, *self.stride, self.offset), default=0) < 0:
            raise ValueError("a tensor's shape and strides do not fit")
        if len(self.shape) > LARGEST_AXES or max((*self.shape, *self.stride, self.offset), default=0) >= 2**62:
            raise ValueError("a tensor has too many axes, or too long ones")
        reach = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        if math.prod(self.shape) and reach >= len(values):
            raise ValueError("a tensor reaches beyond its storage")
        if math.prod(self.shape) > len(values):
            raise ValueError("a tensor is larger than its storage")
        steps = [step * values.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps).copy()


class _Mark:
    """Where a group on the stack begins."""


def read_tensors(path: Path) -> Arrays:
    """All tensors of a state dict by name; those inside a dict of a dict by both names with a dot between.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: it is not of torch's making, damaged, or holds what a state dict does not.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingFileError(f"Cannot read {path}: {error.strerror}.") from error
    file, size = io.BytesIO(content), len(content)
    try:
        arrays = _read_archive(file, size) if zipfile.is_zipfile(file) else _read_stream(_Bounded(file, size))
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]  # it may quote the file
        raise CheckpointError(f"{path} is not a file of tensors alone, as torch.save writes: {reason}") from error
    if not arrays:
        raise CheckpointError(f"{path} holds no tensors.")
    return arrays


class _Bounded:
    """A file that is not asked for more than it has: a read of a claimed length takes that memory first."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        file.seek(0)
        self._file = file
        self.size = size

    def read(self, count: int) -> bytes:
        if count > self.size:
            raise ValueError("the file is cut short")
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline()


def _read_archive(file: IO[bytes], size: int) -> Arrays:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        folder = names[0].removesuffix("data.pkl")
        # torch packs nothing, so what is inside cannot be larger than the file; a member that claims more would take
        # memory that nothing in the file stands for. zipfile reads no more of a member than it claims.
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("its parts claim to be larger than the file")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed, which torch never does")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
        state = _take_apart(io.BytesIO(archive.read(names[0])))

        def numbers(storage: _Storage) -> NDArray[Any]:
            return _numbers(archive.read(f"{folder}data/{storage.key}"), storage.dtype)

        return _arrays(state, numbers, size)


def _read_stream(file: _Bounded) -> Arrays:
    if _take_apart(file) != STREAM_MAGIC:
        raise ValueError("its first number is not torch's")
    _take_apart(file)  # the version of the form, which has been the same ever since
    system = _take_apart(file)
    if system["little_endian"] is not True:
        raise ValueError("it was written on a big-endian machine")
    storages: dict[str, _Storage] = {}
    state = _take_apart(file, storages)
    found = {}
    for key in map(_name, _take_apart(file)):
        count = int.from_bytes(_exactly(file, 8), "little")
        dtype = np.dtype(storages[key].dtype)
        found[key] = _numbers(_exactly(file, count * dtype.itemsize), storages[key].dtype)
    return _arrays(state, lambda storage: found[storage.key], file.size)


def _exactly(file: _Bounded, count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise ValueError("the file is cut short")
    return content


def _numbers(content: bytes, dtype: str) -> NDArray[Any]:
    return np.frombuffer(content, np.dtype(dtype))


def _arrays(state: Any, numbers: Callable[[_Storage], NDArray[Any]], file_size: int) -> Arrays:
    tensors: dict[str, _Tensor] = {}
    following = [("", 0, state)]
    seen = 0
    while following:
        prefix, depth, part = following.pop()
        if not isinstance(part, dict) or depth > LARGEST_DEPTH:
            raise ValueError("it does not hold a dict of tensors")
        seen += len(part)
        if seen > LARGEST_COUNT:
            raise ValueError(f"it holds more than {LARGEST_COUNT} entries")
        for key, value in part.items():
            name = f"{prefix}{key}"
            if len(name) > LARGEST_NAME:
                raise ValueError(f"a name is longer than {LARGEST_NAME} letters")
            if isinstance(value, _Tensor):
                tensors[name] = value
            elif isinstance(value, dict):
                following.append((f"{name}.", depth + 1, value))
    arrays: Arrays = {}
    taken = 0
    for name, tensor in tensors.items():
        arrays[name] = tensor.of(numbers(tensor.storage))
        taken += arrays[name].nbytes
        if taken > LARGEST_GROWTH * file_size:
            raise ValueError(f"its tensors are more than {LARGEST_GROWTH} times as large as the file")
    return arrays


def _name(value: Any) -> str:
    """A name in the file. Lists in lists are no names: writing them out or hashing them might never end."""
    if not isinstance(value, str | int):
        raise ValueError(f"a name is wanted, not a {type(value).__name__}")
    return str(value)


def _take_apart(file: IO[bytes] | _Bounded, storages: dict[str, _Storage] | None = None) -> Any:
    """The value that the next pickle of a file stands for, of dicts, lists, tuples, numbers, strings and `_Tensor`."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", file)):
        if opcode.name == "STOP":
            return stack.pop()
        if opcode.name in _LITERALS:
            stack.append(argument)
        elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(argument)])
        elif opcode.name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(argument)] = stack[-1]
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif opcode.name == "GLOBAL":
            stack.append(_Name(argument))
        elif opcode.name == "BINPERSID":
            storage = _storage(stack.pop())
            if storages is not None:
                storages[storage.key] = storage
            stack.append(storage)
        elif opcode.name in _STEPS:
            _STEPS[opcode.name](stack)
        elif opcode.name not in ("PROTO", "FRAME"):
            raise ValueError(f"it asks for {opcode.name}, which no state dict needs")
    raise ValueError("the file is cut short")


_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING"}
)


def _storage(identifier: Any) -> _Storage:
    """What stands for a storage: ("storage", its type, key, device, length), and in the stream what it is a view of."""
    word, kind, key, *rest = identifier
    if word != "storage" or not isinstance(kind, _Name) or kind.text not in STORAGE_TYPES:
        raise ValueError(f"it holds numbers of a kind that is not known: {getattr(kind, 'text', type(kind))}")
    if len(rest) == 3 and rest[2] is not None:
        raise ValueError("it holds a view of a storage, which torch wrote before 0.4 only where storages were shared")
    return _Storage(_name(key), STORAGE_TYPES[kind.text])


def _called(name: Any, arguments: Any) -> Any:
    """What a call in the file would have made; only those that make tensors and dicts are known."""
    text = name.text if isinstance(name, _Name) else f"a {type(name).__name__}"
    if text == ORDERED_DICT:
        items: dict[Any, Any] = {}
        for pair in arguments[0] if arguments else ():
            _set_items([items], pair)
        return items
    if text in TENSORS:
        storage, offset, shape, stride = arguments[:4]
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor without a storage")
        return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))
    if text == PARAMETER and isinstance(arguments[0], _Tensor):
        return arguments[0]
    raise ValueError(f"it asks to call {text}, which is not done")


def _group(stack: list[Any]) -> list[Any]:
    """What lies above the last mark, which is taken off too."""
    taken = []
    while not isinstance(stack[-1], _Mark):
        taken.append(stack.pop())
    stack.pop()
    return taken[::-1]


def _pop(stack: list[Any], count: int) -> tuple[Any, ...]:
    taken = [stack.pop() for _ in range(count)]
    return tuple(taken[::-1])


def _set_items(stack: list[Any], items: list[Any] | tuple[Any, ...]) -> None:
    if not isinstance(stack[-1], dict):
        raise ValueError("items for what is no dict")
    if not all(isinstance(key, str | int) for key in items[::2]):
        raise ValueError("a dict by other than names and numbers")  # hashing tuples in tuples might never end
    stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _append(stack: list[Any], items: list[Any] | tuple[Any, ...]) -> None:
    if not isinstance(stack[-1], list):
        raise ValueError("items for what is no list")
    stack[-1].extend(items)


def _reduce(stack: list[Any]) -> None:
    name, arguments = _pop(stack, 2)
    stack.append(_called(name, arguments))


def _stack_global(stack: list[Any]) -> None:
    module, name = _pop(stack, 2)
    stack.append(_Name(f"{_name(module)} {_name(name)}"))


def _build(stack: list[Any]) -> None:
    """Attributes of an object, such as a state dict's versions: left out."""
    stack.pop()


_STEPS: dict[str, Callable[[list[Any]], None]] = {
    "MARK": lambda stack: stack.append(_Mark()),
    "NONE": lambda stack: stack.append(None),
    "NEWTRUE": lambda stack: stack.append(True),
    "NEWFALSE": lambda stack: stack.append(False),
    "EMPTY_DICT": lambda stack: stack.append({}),
    "EMPTY_LIST": lambda stack: stack.append([]),
    "EMPTY_TUPLE": lambda stack: stack.append(()),
    "TUPLE": lambda stack: stack.append(tuple(_group(stack))),
    "TUPLE1": lambda stack: stack.append(_pop(stack, 1)),
    "TUPLE2": lambda stack: stack.append(_pop(stack, 2)),
    "TUPLE3": lambda stack: stack.append(_pop(stack, 3)),
    "SETITEM": lambda stack: _set_items(stack, _pop(stack, 2)),
    "SETITEMS": lambda stack: _set_items(stack, _group(stack)),
    "APPEND": lambda stack: _append(stack, _pop(stack, 1)),
    "APPENDS": lambda stack: _append(stack, _group(stack)),
    "REDUCE": _reduce,
    "STACK_GLOBAL": _stack_global,
    "BUILD": _build,
}
