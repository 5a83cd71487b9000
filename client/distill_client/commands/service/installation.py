"""``distill service``: what the service is and allows."""

from distill_client.client import Distill
from distill_client.display import format_bytes, show_fields, show_json
from distill_client.options import AsJson


def installation(as_json: AsJson = False) -> None:
    """Show the service's version, and what it allows."""
    with Distill() as service:
        response = service.installation()
        address = service.url
    if as_json:
        show_json(response)
        return
    show_fields(
        {
            "address": address,
            "version": response.version,
            "data sets from": ", ".join(response.dataset_imports),
            "largest upload": format_bytes(response.max_upload_bytes),
            "deleted items are kept": f"{response.restore_days:g} days",
        }
    )
