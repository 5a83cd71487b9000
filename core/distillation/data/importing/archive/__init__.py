"""Unpacks uploaded archives: regular files and folders only, within limits."""

from core.distillation.data.importing.archive.unpacking import unpack

__all__ = ["unpack"]
