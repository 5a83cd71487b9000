"""What a checkpoint's pickle declares, found out without unpickling it.

torch.load(weights_only=True) runs no foreign code, but it sets aside whatever memory a file of 1 kB declares, and it hashes
what the file makes a dict's key, which can take for ever. So the stream is first walked here, instruction by instruction:
only those that torch.save writes for plain containers and tensors are known, and a tensor becomes a Declared, never memory.
"""

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.distillation.models.checkpoint_files import declared_tensors
from core.distillation.models.checkpoint_files.declared_tensors import DTYPES, DeclaredStorage, require
from core.errors import Refused

ADVICE = (
    "Save only the weights and upload those: torch.save(model.state_dict(), path), or safetensors."
)


@dataclass(frozen=True)
class _GlobalName:
    """``module name``, as the stream has it. Never looked up."""

    text: str


class _IgnoredValue:
    """A value that has nothing to do with weights."""


def scan_pickle(stream: bytes, storages: Mapping[str, int]) -> Any:
    """What the stream describes, with a Declared for each tensor. ``storages``: bytes that the file holds, by storage's key.

    Raises Refused: unsafe_checkpoint where unpickling would call or import something that weights do not need,
    unreadable_checkpoint where the stream is damaged or declares more than the file holds.
    """
    walk = _PickleScanner(storages)
    try:
        for instruction, argument, _ in pickletools.genops(stream):
            walk.step(instruction.name, argument)
        (result,) = walk.stack
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise Refused(
            "The checkpoint's table of contents is damaged.", code="unreadable_checkpoint"
        ) from error
    return result


class _PickleScanner:
    """The stack and memo of one walk through a stream, which stand as they would while it is unpickled."""

    def __init__(self, storages: Mapping[str, int]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.below_marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, instruction: str, argument: Any) -> None:
        if instruction not in INSTRUCTIONS:
            raise Refused(
                f"The checkpoint is written with the pickle instruction {instruction}, which weights do not need. {ADVICE}",
                code="unsafe_checkpoint",
            )
        INSTRUCTIONS[instruction](self, argument)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        self.below_marks.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below_marks.pop()
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
            require(isinstance(key, str | int))
            target[key] = value

    def name(self, text: str) -> None:
        if text not in CALLS and text not in DTYPES and text not in INERT:
            raise Refused(
                f"Opening the checkpoint would use {text.replace(' ', '.')[:100]!r}, which weights do not need. {ADVICE}",
                code="unsafe_checkpoint",
            )
        self.push(_IgnoredValue() if text in INERT else _GlobalName(text))

    def storage(self) -> None:
        kind, storage_type, key, _location, elements = self.stack.pop()
        require(kind == "storage" and isinstance(storage_type, _GlobalName) and isinstance(key, str))
        self.push(DeclaredStorage.declare(DTYPES[storage_type.text], elements, self.storages[key]))

    def call(self) -> None:
        function, arguments = self.pop(2)
        require(isinstance(function, _GlobalName) and isinstance(arguments, tuple))
        self.push(CALLS[function.text](*arguments))

    def build(self) -> None:
        # The _metadata attribute that state dicts have; of no use here.
        target, state = self.pop(2)
        require(isinstance(target, dict) and isinstance(state, dict))
        self.push(target)


def _parameter(tensor: Any, requires_grad: Any, _hooks: Any) -> Any:
    """Arguments of torch._utils._rebuild_parameter."""
    return tensor


def _ordered_dict() -> dict[str | int, Any]:
    return {}


def _inert(*_arguments: Any) -> _IgnoredValue:
    return _IgnoredValue()


CALLS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor_v2": declared_tensors.declare_tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch Size": _inert,
    "torch device": _inert,
}
INERT = {str(dtype).replace(".", " ") for dtype in DTYPES.values()}

INSTRUCTIONS: dict[str, Callable[[_PickleScanner, Any], None]] = {
    "PROTO": lambda walk, _: None,
    "STOP": lambda walk, _: None,
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
        lambda walk, value: walk.push(value),
    ),
    "NONE": lambda walk, _: walk.push(None),
    "NEWTRUE": lambda walk, _: walk.push(True),
    "NEWFALSE": lambda walk, _: walk.push(False),
    "EMPTY_TUPLE": lambda walk, _: walk.push(()),
    "EMPTY_LIST": lambda walk, _: walk.push([]),
    "EMPTY_DICT": lambda walk, _: walk.push({}),
    "MARK": lambda walk, _: walk.mark(),
    "TUPLE": lambda walk, _: walk.push(tuple(walk.pop_to_mark())),
    "TUPLE1": lambda walk, _: walk.push(tuple(walk.pop(1))),
    "TUPLE2": lambda walk, _: walk.push(tuple(walk.pop(2))),
    "TUPLE3": lambda walk, _: walk.push(tuple(walk.pop(3))),
    "APPEND": lambda walk, _: walk.extend(walk.pop(1)),
    "APPENDS": lambda walk, _: walk.extend(walk.pop_to_mark()),
    "SETITEM": lambda walk, _: walk.set_items(walk.pop(2)),
    "SETITEMS": lambda walk, _: walk.set_items(walk.pop_to_mark()),
    **dict.fromkeys(
        ("BINPUT", "LONG_BINPUT"), lambda walk, index: walk.memo.__setitem__(index, walk.stack[-1])
    ),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda walk, index: walk.push(walk.memo[index])),
    "GLOBAL": lambda walk, text: walk.name(text),
    "BINPERSID": lambda walk, _: walk.storage(),
    "REDUCE": lambda walk, _: walk.call(),
    "BUILD": lambda walk, _: walk.build(),
}
"""The instructions that torch.save writes for plain containers and tensors: a pickle can do nothing with these alone."""
