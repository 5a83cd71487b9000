"""What a checkpoint's pickle declares, read without unpickling it.

torch.load(weights_only=True) runs no code of the file, but it allocates whatever memory a file of
1 kB declares, and it hashes what the file makes a dict's key, which can take forever. So the stream
is first scanned here, instruction by instruction: only the instructions that torch.save writes for
plain containers and tensors are known, and a tensor becomes a DeclaredTensor, never memory.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.distillation.models.checkpoint_files import declared_tensors
from core.distillation.models.checkpoint_files.declared_tensors import (
    DTYPES,
    DeclaredStorage,
    require,
)
from core.errors import Refused

ADVICE = (
    "Save only the weights and upload those: torch.save(model.state_dict(), path), or safetensors."
)


@dataclass(frozen=True)
class _GlobalName:
    """The name of a global, ``module name``, as in the stream. It is never looked up."""

    text: str


class _IgnoredValue:
    """Stands for a value that has nothing to do with weights."""


def scan_pickle(stream: bytes, storages: Mapping[str, int]) -> Any:
    """Return what the stream describes, with a DeclaredTensor for each tensor.

    ``storages``: the bytes that the file holds for each storage, by the storage's key.
    Raises Refused: unsafe_checkpoint where unpickling would call or import something that weights
    do not need, unreadable_checkpoint where the stream is damaged or declares more than the file
    holds.
    """
    scanner = _PickleScanner(storages)
    try:
        for instruction, argument, _ in pickletools.genops(stream):
            scanner.step(instruction.name, argument)
        (result,) = scanner.stack
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise Refused(
            "The checkpoint's table of contents is damaged.", code="unreadable_checkpoint"
        ) from error
    return result


class _PickleScanner:
    """The unpickling machine's stack and memo, as they would be while the stream is unpickled."""

    def __init__(self, storages: Mapping[str, int]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.outer_stacks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, instruction: str, argument: Any) -> None:
        if instruction not in INSTRUCTIONS:
            raise Refused(
                f"The checkpoint uses the pickle instruction {instruction}, which weights do "
                f"not need. {ADVICE}",
                code="unsafe_checkpoint",
            )
        INSTRUCTIONS[instruction](self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.outer_stacks.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.outer_stacks.pop()
        return items

    def pop(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def extend(self, items: list[Any]) -> None:
        require(isinstance(self.stack[-1], list))
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        require(isinstance(target, dict))
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise Refused(
                    f"The checkpoint has a dict whose keys are not text. {ADVICE}",
                    code="unreadable_checkpoint",
                )
            target[key] = value

    def name(self, text: str) -> None:
        if text not in CALLS and text not in DTYPES and text not in IGNORED_GLOBALS:
            name = text.replace(" ", ".")[:100]
            raise Refused(
                f"Opening the checkpoint would use {name!r}, which weights do not need. {ADVICE}",
                code="unsafe_checkpoint",
            )
        self.push(_IgnoredValue() if text in IGNORED_GLOBALS else _GlobalName(text))

    def storage(self) -> None:
        kind, storage_type, key, _location, elements = self.stack.pop()
        require(
            kind == "storage" and isinstance(storage_type, _GlobalName) and isinstance(key, str)
        )
        self.push(DeclaredStorage.declare(DTYPES[storage_type.text], elements, self.storages[key]))

    def call(self) -> None:
        function, arguments = self.pop(2)
        require(isinstance(function, _GlobalName) and isinstance(arguments, tuple))
        self.push(CALLS[function.text](*arguments))

    def build(self) -> None:
        # It sets the _metadata attribute that state dicts have, which is not needed.
        target, state = self.pop(2)
        require(isinstance(target, dict) and isinstance(state, dict))
        self.push(target)


def _declare_parameter(tensor: Any, requires_grad: Any, _hooks: Any) -> Any:
    """Take the arguments of torch._utils._rebuild_parameter: a parameter is its tensor."""
    return tensor


def _ordered_dict() -> dict[str | int, Any]:
    return {}


def _ignore(*_arguments: Any) -> _IgnoredValue:
    return _IgnoredValue()


CALLS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor_v2": declared_tensors.declare_tensor,
    "torch._utils _rebuild_parameter": _declare_parameter,
    "torch Size": _ignore,
    "torch device": _ignore,
}
"""What a checkpoint of weights may call, and what is done instead."""
IGNORED_GLOBALS = {str(dtype).replace(".", " ") for dtype in DTYPES.values()}

INSTRUCTIONS: dict[str, Callable[[_PickleScanner, Any], None]] = {
    "PROTO": lambda scanner, _: None,
    "STOP": lambda scanner, _: None,
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
        lambda scanner, value: scanner.push(value),
    ),
    "NONE": lambda scanner, _: scanner.push(None),
    "NEWTRUE": lambda scanner, _: scanner.push(True),
    "NEWFALSE": lambda scanner, _: scanner.push(False),
    "EMPTY_TUPLE": lambda scanner, _: scanner.push(()),
    "EMPTY_LIST": lambda scanner, _: scanner.push([]),
    "EMPTY_DICT": lambda scanner, _: scanner.push({}),
    "MARK": lambda scanner, _: scanner.mark(),
    "TUPLE": lambda scanner, _: scanner.push(tuple(scanner.pop_to_mark())),
    "TUPLE1": lambda scanner, _: scanner.push(tuple(scanner.pop(1))),
    "TUPLE2": lambda scanner, _: scanner.push(tuple(scanner.pop(2))),
    "TUPLE3": lambda scanner, _: scanner.push(tuple(scanner.pop(3))),
    "APPEND": lambda scanner, _: scanner.extend(scanner.pop(1)),
    "APPENDS": lambda scanner, _: scanner.extend(scanner.pop_to_mark()),
    "SETITEM": lambda scanner, _: scanner.set_items(scanner.pop(2)),
    "SETITEMS": lambda scanner, _: scanner.set_items(scanner.pop_to_mark()),
    **dict.fromkeys(
        ("BINPUT", "LONG_BINPUT"),
        lambda scanner, index: scanner.memo.__setitem__(index, scanner.stack[-1]),
    ),
    **dict.fromkeys(
        ("BINGET", "LONG_BINGET"), lambda scanner, index: scanner.push(scanner.memo[index])
    ),
    "GLOBAL": lambda scanner, text: scanner.name(text),
    "BINPERSID": lambda scanner, _: scanner.storage(),
    "REDUCE": lambda scanner, _: scanner.call(),
    "BUILD": lambda scanner, _: scanner.build(),
}
"""The instructions that torch.save writes for plain containers and tensors.

With these alone a pickle can call nothing but CALLS."""
