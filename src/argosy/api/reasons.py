"""The reasons that conditions and events give, each with what it means and what to do.

The same words stand in `docs/reference/reasons.md`, which is made from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Documented(StrEnum):
    """A word together with its explanation."""

    doc: str

    def __new__(cls, word: str, doc: str) -> Self:
        """Keep the explanation beside the word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.doc = doc
        return member


class InstanceReason(Documented):
    """Why an Instance is as it is."""

    HEALTHY = "Healthy", "All objects are as desired and all components are healthy."
    APPLIED = "Applied", "All objects are as desired."
    SUPPORTED = "Supported", "The release is tested on the target's Kubernetes."
    PROGRESSING = "Progressing", "A wave of objects was applied; the next waits until it is healthy."
    PAUSED = "Paused", "Argosy keeps its hands off until spec.pause.until, or until `argosy resume`."
    RELEASE_NOT_FOUND = (
        "ReleaseNotFound",
        "No Release has the name in spec.version. Import it with `argosy release import`.",
    )
    RELEASE_NOT_READY = (
        "ReleaseNotReady",
        "The Release is damaged, or nobody vouches for it. Its own Ready condition says which.",
    )
    TARGET_NOT_FOUND = (
        "TargetNotFound",
        "No Target of that name in the Instance's namespace. Create it with `argosy target add`.",
    )
    TARGET_NOT_READY = (
        "TargetNotReady",
        "The Target is not reached, or is being prepared. Its own Ready condition says which.",
    )
    TARGET_UNREACHABLE = (
        "TargetUnreachable",
        "The target's API server stopped answering. Argosy tries again by itself.",
    )
    KUBERNETES_OUT_OF_RANGE = (
        "KubernetesOutOfRange",
        "The release is not tested on the target's Kubernetes. Plan to move one of them.",
    )
    NAMESPACE_CONFLICT = (
        "NamespaceConflict",
        "The namespace holds an Argo CD that Argosy did not install. Choose another in spec.namespace.",
    )
    NAMESPACE_TAKEN = (
        "NamespaceTaken",
        "An older Instance on the same Target claims one of the namespaces. Choose others.",
    )
    NOT_ALLOWED = (
        "NotAllowed",
        "The Target does not take this team or this size (spec.allowed of the Target).",
    )
    INVALID_CONFIGURATION = (
        "InvalidConfiguration",
        "A setting does not fit the release or the target. The message names the field and the remedy.",
    )
    HIGH_AVAILABILITY_NEEDS_NODES = (
        "HighAvailabilityNeedsNodes",
        "spec.highAvailability needs three nodes. Add nodes, or set it to false.",
    )
    APPLY_FAILED = "ApplyFailed", "The target refused an object. The message has the API server's words."
    ADMISSION_REFUSED = (
        "AdmissionRefused",
        "An admission policy or webhook of the target refused an object or a pod.",
    )
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        "A ResourceQuota of the namespace leaves no room. Raise it, or choose a smaller size.",
    )
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        "A node cannot pull an image. Check the registry, spec.imageRegistry and the pull secrets.",
    )
    CRASH_LOOPING = "CrashLooping", "A container does not stay up. The message has its last words."
    UNSCHEDULABLE = "Unschedulable", "No node takes a pod. The message says what is missing."
    UNHEALTHY = "Unhealthy", "A component is not healthy, and Kubernetes does not say why."
    DELETION_REFUSED = (
        "DeletionRefused",
        "The Instance is protected. Set spec.terminationProtection to false if it shall really go.",
    )
    DELETING = "Deleting", "The deletion policy is being carried out."
    CREATED = "Created", "Event: an object that was missing has been created again."
    CHANGED = "Changed", "Event: an object has been changed; for drift the message says who had changed what."
    RECREATED = (
        "Recreated",
        ("Event: an object had to be deleted and created anew, because a field cannot change."),
    )
    PRUNED = "Pruned", "Event: an object that is no longer desired has been deleted."


class TargetReason(Documented):
    """Why a Target is as it is."""

    READY = "Ready", "A worker holds the Target's lease, sees what is live, and has prepared it."
    UNREACHABLE = (
        "Unreachable",
        "The API server does not answer, or the kubeconfig cannot be used. The message says which.",
    )
