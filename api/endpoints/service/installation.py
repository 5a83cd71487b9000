"""What this installation is and allows, for pages that offer only what will not be refused."""

from fastapi import APIRouter

from api.dependencies import Caller, ServiceSettings
from api.http.authenticated_route import AuthenticatedRoute
from api.representation.service.installation import DatasetImport, ServiceResponse
from core import __version__

router = APIRouter(prefix="/v1/service", tags=["service"], route_class=AuthenticatedRoute)


@router.get("")
def get_service(caller: Caller, settings: ServiceSettings) -> ServiceResponse:
    """Get the version, and what this installation allows."""
    imports: dict[DatasetImport, bool] = {
        "upload": True,
        "folder": settings.data_folder is not None,
        "download": settings.allow_downloads,
    }
    return ServiceResponse(
        version=__version__,
        dataset_imports=[name for name, is_allowed in imports.items() if is_allowed],
        max_upload_bytes=settings.max_upload_bytes,
        restore_days=settings.retain_deleted_days,
    )
