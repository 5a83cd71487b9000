"""The body of an import job: an uploaded checkpoint becomes weights of one of our networks, or is refused with a reason."""

from core.distillation.models import from_description, weights
from core.distillation.models.importers import load
from core.folder import Imported, JobFolder
from core.spec.job import ImportModel


def import_model(folder: JobFolder) -> None:
    """Open ``folder.upload`` as the network that the spec describes; publish output/model.safetensors, then say Imported.

    Raises Refused where the upload cannot be used; its codes are those of ``importers.load``.
    """
    spec = folder.read_spec()
    if not isinstance(spec, ImportModel):
        raise TypeError(f"import_model carries out import_model jobs; this is a {spec.kind} job.")
    network = from_description(spec.description)
    report = load(network, folder.upload)
    description = {"description": spec.description.model_dump_json()}
    folder.publish("model.safetensors", weights.to_bytes(network, description), "model")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    folder.say(Imported(model=spec.description, parameters=parameters, report=report.to_dict()))
