"""What a person reads when the API server says no: which case it is, what it was about, and no secret."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from reconciler import errors
from reconciler.errors import FieldConflict, OrchestError, api_error

ATTEMPT = "apply Deployment.apps/orchest/orchest-api"


def status(message: str, reason: str = "", *causes: dict[str, str]) -> bytes:
    return orjson.dumps({"kind": "Status", "message": message, "reason": reason, "details": {"causes": causes}})


def translated(code: int, body: bytes, attempt: str = ATTEMPT) -> errors.ClusterError:
    return api_error(code, body, attempt=attempt, scrub=lambda text: text)


UID_IMMUTABLE = {"field": "metadata.uid", "message": "field is immutable"}
IMAGE_HELD = {
    "reason": "FieldManagerConflict",
    "message": 'conflict with "kubectl-set" using apps/v1',
    "field": '.spec.template.spec.containers[name="m"].image',
}
TERMINATING = {"reason": "NamespaceTerminating", "message": "namespace x is being terminated"}
TYPED = (
    "failed to create typed patch object (orchest/orchest-api; apps/v1, Kind=Deployment): .spec.foo: field not declared"
)


@pytest.mark.parametrize(
    ("code", "body", "kind", "exit_code"),
    [
        (401, status("Unauthorized", "Unauthorized"), errors.Unauthorised, 1),
        (403, status('deployments.apps is forbidden: User "x" cannot list', "Forbidden"), errors.Forbidden, 1),
        (403, status('nodes is forbidden: User "system:anonymous" cannot list', "Forbidden"), errors.Unauthorised, 1),
        (403, status("unable to create new content", "Forbidden", TERMINATING), errors.Forbidden, 1),
        (403, status('admission webhook "a.b" denied the request: no', "Forbidden"), errors.AdmissionRefused, 1),
        (403, status('pods "x" is forbidden: exceeded quota: small', "Forbidden"), errors.AdmissionRefused, 1),
        (
            422,
            status("x is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "Invalid"),
            errors.AdmissionRefused,
            1,
        ),
        (404, status('deployments.apps "x" not found', "NotFound"), errors.NotFound, 1),
        (404, b"404 page not found\n", errors.CrdNotInstalled, 1),
        (409, status("the object has been modified; try again", "Conflict"), errors.Modified, 1),
        (409, status("uid mismatch: the provided object specified uid a", "Conflict"), errors.UidMismatch, 1),
        (
            409,
            status("Precondition failed: UID in precondition: a, UID in object meta: b", "Conflict"),
            errors.UidMismatch,
            1,
        ),
        (409, status("the UID in the precondition (a) does not match the UID in record (b)"), errors.UidMismatch, 1),
        (409, status("the ResourceVersion in the precondition (1) does not match", "Conflict"), errors.Modified, 1),
        (409, status('leases "x" already exists', "AlreadyExists"), errors.AlreadyExists, 1),
        (409, status("Apply failed with 1 conflict", "Conflict", IMAGE_HELD), errors.Conflict, 4),
        (422, status("metadata.uid: Invalid value", "Invalid", UID_IMMUTABLE), errors.UidMismatch, 1),
        (422, status("spec.x: Invalid value", "Invalid", {"field": "spec.x", "message": "bad"}), errors.Invalid, 1),
        (400, status("strict decoding error: unknown field", "BadRequest"), errors.Invalid, 1),
        (500, status(TYPED), errors.Invalid, 1),
        (500, status("failed to convert new object (a/s; /v1, Kind=Secret): illegal base64 data"), errors.Invalid, 1),
        (500, status('failed calling webhook "a.b": no endpoints', "InternalError"), errors.ServerFault, 1),
        (502, b"<html>Bad gateway</html>", errors.ServerFault, 1),
        (503, b"{not json", errors.ServerFault, 1),
        (429, status("too many requests", "TooManyRequests"), errors.Throttled, 1),
    ],
)
def test_each_answer_has_one_meaning(code: int, body: bytes, kind: type[OrchestError], exit_code: int) -> None:
    error = translated(code, body)
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert str(error).startswith(f"Cannot {ATTEMPT}: ")


def test_a_conflict_names_managers_and_fields() -> None:
    error = translated(409, status("Apply failed with 1 conflict", "Conflict", IMAGE_HELD))
    assert isinstance(error, errors.Conflict)
    assert error.fields == (FieldConflict("kubectl-set", '.spec.template.spec.containers[name="m"].image'),)
    assert "image by kubectl-set" in str(error)


def test_a_missing_crd_says_how_to_install_it() -> None:
    error = translated(404, b"404 page not found\n", "read OrchestCluster.orchest.io/orchest/cluster-1")
    assert "orchest install --crds" in str(error)


@pytest.mark.parametrize(
    ("code", "body"),
    [
        (422, status("hunter2 is bad", "Invalid")),
        (422, status("bad", "Invalid", {"field": "data.k", "message": 'Invalid value: "hunter2"'})),
        (500, status(".stringData.k: expected string, got &value.valueUnstructured{Value:hunter2}")),
        (403, status('admission webhook "a" denied the request: hunter2', "Forbidden")),
        (409, status("the object has been modified hunter2", "Conflict")),
        (404, status("hunter2 not found", "NotFound")),
        (429, status("hunter2", "TooManyRequests")),
    ],
)
def test_every_text_of_the_server_passes_the_scrubber(code: int, body: bytes) -> None:
    def scrub(text: str) -> str:
        return text.replace("hunter2", "masked")

    assert "hunter2" not in str(api_error(code, body, attempt=ATTEMPT, scrub=scrub))
    assert "hunter2" in str(translated(code, body))


def test_exit_codes_of_our_own_refusals() -> None:
    codes: dict[Any, int] = {errors.Refused: 5, errors.Stale: 3, errors.LeaseHeld: 1, errors.BadKubeconfig: 1}
    assert {kind: kind("x").exit_code for kind in codes} == codes
