"""What a project stores, and the space that is left."""

from fastapi import APIRouter

from api.dependencies import Database, ObjectStore, Reader
from api.http.authenticated_route import AuthenticatedRoute
from api.representation.service import storage
from core.store.objects import totals

router = APIRouter(prefix="/v1/storage", tags=["storage"], route_class=AuthenticatedRoute)


@router.get("")
def get_storage(caller: Reader, engine: Database, objects: ObjectStore) -> storage.StorageResponse:
    """Get number and size of the project's stored files by kind, and the free space.

    A project of a million jobs takes seconds: this adds up rows, and is not for polling.
    """
    return storage.storage(totals.add_up(engine, caller.project_id), objects.space())
