"""The tools that a GitHub runner has and a sandbox may not: stand-ins on the PATH that say so.

A stand-in writes why into the file named by COUNTERSIGN_REHEARSED; the step is then `rehearsed`, whatever its exit code.
Terraform's stand-in runs the machine's Terraform where it can (with a local backend and no account), and rehearses the
rest: `apply` always, because there is no cloud here.
"""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

EXPECTED = (
    "aws",
    "az",
    "gcloud",
    "kubectl",
    "helm",
    "kustomize",
    "docker",
    "gh",
    "jq",
    "tflint",
    "checkov",
    "trivy",
    "cosign",
)
STOP = 86

_ABSENT = """#!/bin/sh
echo "rehearsed: {tool} not found"
echo "{tool} not found" >> "$COUNTERSIGN_REHEARSED"
exit {stop}
"""
_OVERRIDE = """terraform {
  backend "local" {}
}
"""
_PROVIDER = """provider "aws" {
  access_key                  = "rehearsal"
  secret_key                  = "rehearsal"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  max_retries                 = 1
}
"""
_TERRAFORM = r"""#!/bin/sh
# The sandbox's terraform: the machine's own where it can, a rehearsal where it cannot.
real={real}
mirror={mirror}
override={override}
provider={provider}

dir=. command=
for word in "$@"; do
  case $word in
    -chdir=*) dir=${{word#-chdir=}} ;;
    -*) ;;
    *) [ -n "$command" ] || command=$word ;;
  esac
done

rehearse() {{
  echo "rehearsed: $1" >&2
  echo "$1" >> "$COUNTERSIGN_REHEARSED"
  exit 0
}}

case $command in
  version) [ -z "$real" ] || exec "$real" version
           rehearse "terraform not found" ;;
  fmt) [ -z "$real" ] || exec "$real" "$@"
       rehearse "terraform not found" ;;
  init|validate|plan|show)
    [ -n "$real" ] || rehearse "terraform not found"
    [ -n "$mirror" ] || rehearse "no provider mirror" ;;
  *) rehearse "no cloud in the sandbox: terraform $command was not run" ;;
esac
marker="$dir/.terraform/countersign-rehearsed"
[ "$command" = init ] || [ ! -e "$marker" ] || rehearse "$(cat "$marker")"

if [ "$command" = init ]; then
  kept=
  for word in "$@"; do
    case $word in
      -backend-config=*) ;;
      *) kept="$kept '$(printf %s "$word" | sed "s/'/'\\\\''/g")'" ;;
    esac
  done
  eval "set -- $kept"
  file="$dir/countersign_rehearsal_override.tf"
  printf '%s' "$override" > "$file"
  if grep -qs '^provider "aws"' "$dir"/*.tf; then printf '%s' "$provider" >> "$file"; fi
  echo "rehearsal: $file gives a local backend and no account, in this scratch checkout only"
fi

if [ "$command" = init ] || [ "$command" = plan ]; then
  said="$RUNNER_TEMP/terraform-said"
  "$real" "$@" > "$said" 2>&1
  code=$?
  cat "$said"
  [ $code -ne 0 ] || exit 0
  if [ "$command" = init ] && grep -q 'Failed to query available provider packages' "$said"; then
    mkdir -p "$dir/.terraform"
    echo "a provider is not in the mirror" > "$marker"
    rehearse "a provider is not in the mirror"
  fi
  if [ "$command" = plan ] && grep -Eq 'no such host|dial tcp|network is unreachable|No valid credential' "$said"; then
    rehearse "no cloud in the sandbox: the plan asked one"
  fi
  exit $code
fi
exec "$real" "$@"
"""


@dataclass(frozen=True)
class Toolbox:
    """What the machine has. `search_path` is where a job looks for programs, after the stand-ins."""

    folder: Path
    search_path: str
    terraform: Path | None = None
    provider_mirror: Path | None = None

    @property
    def path(self) -> str:
        """PATH of a step."""
        return f"{self.folder}:{self.search_path}"

    def readable(self) -> tuple[Path, ...]:
        """What a step must be able to read for its tools."""
        found = [self.folder, *(Path(part) for part in self.search_path.split(":"))]
        found += [self.terraform.resolve().parent] if self.terraform else []
        return (*found, *([self.provider_mirror] if self.provider_mirror else []))

    def make(self) -> None:
        """Write the stand-ins and Terraform's configuration."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        text = _TERRAFORM.format(
            real=shlex.quote(str(self.terraform or "")),
            mirror=shlex.quote(str(self.provider_mirror or "")),
            override=shlex.quote(_OVERRIDE),
            provider=shlex.quote(_PROVIDER),
        )
        self._write("terraform", text)
        for tool in EXPECTED:
            if shutil.which(tool, path=self.search_path) is None:
                self._write(tool, _ABSENT.format(tool=tool, stop=STOP))
        mirror = json.dumps(str(self.provider_mirror or self.folder))
        config = f"provider_installation {{\n  filesystem_mirror {{\n    path = {mirror}\n  }}\n}}\n"
        (self.folder / "terraform.rc").write_text(config)

    def environment(self) -> dict[str, str]:
        """What Terraform needs to stay at home."""
        return {
            "TF_CLI_CONFIG_FILE": str(self.folder / "terraform.rc"),
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",  # there is no cloud to wait for
        }

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
