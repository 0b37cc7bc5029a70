"""An EKS add-on without a version is whatever AWS calls the default on the day of the apply."""

from __future__ import annotations

from typing import Any

from checkov.common.models.enums import CheckCategories, CheckResult
from checkov.terraform.checks.resource.base_resource_check import BaseResourceCheck


class AddonVersion(BaseResourceCheck):
    """CKV_CSIGN_1: aws_eks_addon names its addon_version."""

    def __init__(self) -> None:
        super().__init__(
            name="Ensure the EKS add-on names its version",
            id="CKV_CSIGN_1",
            categories=[CheckCategories.SUPPLY_CHAIN],
            supported_resources=["aws_eks_addon"],
        )

    def scan_resource_conf(self, conf: dict[str, list[Any]]) -> CheckResult:
        """PASSED when addon_version is given."""
        return CheckResult.PASSED if conf.get("addon_version", [""])[0] else CheckResult.FAILED


check = AddonVersion()
