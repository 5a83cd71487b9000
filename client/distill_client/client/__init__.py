"""The client: ``Distill``, whose methods are in modules by noun."""

from distill_client.client.base import Spec
from distill_client.client.distill import Distill

__all__ = ["Distill", "Spec"]
