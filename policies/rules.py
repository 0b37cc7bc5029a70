"""Every rule that our engines know: its id, class, severity, the harm that it prevents and what satisfies it.

checkov's checks are one more table (policies/checkov_rules.py); `rule_of` answers for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from policies.change import Word, canonical, digest_of
from policies.finding import Finding, Remediation, RuleClass, Severity

LOW, MEDIUM, HIGH, CRITICAL = Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL
ENGINE = "countersign"


class Rule(Word):
    """One rule. `why` is the harm, `remedy` in words what satisfies it."""

    id: str
    rule_class: RuleClass
    severity: Severity
    why: str
    remedy: str

    def finding(
        self,
        path: str,
        resource: str,
        message: str,
        *,
        line: int | None = None,
        remediations: Iterable[Remediation] = (),
        engine: str = ENGINE,
    ) -> Finding:
        """This rule broken by `resource` of the file `path` (line counts from 1)."""
        return Finding(
            rule=self.id,
            rule_class=self.rule_class,
            severity=self.severity,
            engine=engine,
            path=path,
            resource=resource,
            message=message,
            why=self.why,
            remedy=self.remedy,
            line=line,
            remediations=tuple(remediations),
        )


_Row = tuple[str, Severity, str, str]


def _table(rule_class: RuleClass, *rows: _Row) -> tuple[Rule, ...]:
    return tuple(
        Rule(id=name, rule_class=rule_class, severity=severity, why=why, remedy=remedy)
        for name, severity, why, remedy in rows
    )


_SECOND_READER = "Two programs may read this text as two different things, and only one of them was judged."
_UNREAD = "What nobody could read, nobody has judged."

READING = _table(
    RuleClass.READING,
    ("reading/not-utf8", HIGH, _SECOND_READER, "Save the file as UTF-8."),
    ("reading/hidden-character", HIGH, "Invisible or reordering characters show a reviewer another text than the machine reads.",
     "Remove the byte order mark, control and bidirectional characters."),
    ("reading/syntax", HIGH, _UNREAD, "Correct the syntax."),
    ("reading/duplicate-key", HIGH, _SECOND_READER, "Keep one of the two entries."),
    ("reading/alias", HIGH, "An anchor or alias makes an object differ from what its own lines say, and can expand without bound.",
     "Write the value out where it is used."),
    ("reading/merge-key", HIGH, _SECOND_READER, "Write the merged keys out."),
    ("reading/tag", HIGH, _SECOND_READER, "Remove the tag; quote the value if it is a string."),
    ("reading/ambiguous-scalar", HIGH, _SECOND_READER, "Quote it if it is a string; otherwise write true, false, null or a plain number."),
    ("reading/key", HIGH, _SECOND_READER, "Use a quoted string as the key."),
    ("reading/directive", HIGH, _SECOND_READER, "Remove the % directive or the `...` line; separate documents by `---` alone."),
    ("reading/depth", HIGH, "Nesting this deep exhausts readers and hides content.", "Nest at most 100 levels."),
    ("reading/size", HIGH, "A file this large cannot be reviewed.", "Split the file; each may have at most 4 MiB."),
    ("reading/number", HIGH, "The number is not the same in every reader of JSON.", "Keep integers within 2^53, or quote the value."),
    ("reading/not-an-object", HIGH, "It looks like a Kubernetes object but no API server would take it.", "Give it apiVersion, kind and metadata.name."),
    ("reading/duplicate-object", HIGH, "Which of the two wins depends on the order of the apply.", "Keep one definition of the object."),
    ("reading/hidden-pod-spec", HIGH, "A pod spec inside a string runs without having been judged.", "Write the pod spec as fields instead of as text."),
    ("reading/unjudged", MEDIUM, _UNREAD, "Leave the file out of the change, or write it in a form that is judged."),
    ("reading/unjudged-text", LOW, "Text for people; no engine has judged it.", "Nothing, if it is only for people to read."),
    ("reading/scanner-switch", MEDIUM, "The change under review must not choose what is reviewed.", "Remove it; an exception is a signed waiver."),
    ("reading/scanner-gap", HIGH, _UNREAD, "Correct what the engine could not parse, then scan again."),
)  # fmt: skip

POD_SECURITY = _table(
    RuleClass.POD_SECURITY,
    ("pod-security/app-armor-profile", HIGH, "Without AppArmor's profile a break-out meets one wall less.", "Leave the profile out, or set RuntimeDefault or Localhost."),
    ("pod-security/capabilities", HIGH, "Added kernel capabilities are a short way from the container to the node.", "Drop ALL; add at most NET_BIND_SERVICE."),
    ("pod-security/host-namespaces", CRITICAL, "The container sees the node's network, processes or IPC.", "Remove hostNetwork, hostPID and hostIPC."),
    ("pod-security/host-path-volumes", CRITICAL, "The container reads or writes the node's own files.", "Use emptyDir, a claim, a ConfigMap or a projected volume."),
    ("pod-security/host-ports", HIGH, "A host port goes round NetworkPolicy and Service.", "Remove hostPort and expose the pod by a Service."),
    ("pod-security/host-probes", MEDIUM, "A probe with a host makes the kubelet send requests to another address.", "Remove the host of the probe or lifecycle handler."),
    ("pod-security/privileged", CRITICAL, "A privileged container is root on the node.", "Remove securityContext.privileged."),
    ("pod-security/proc-mount", HIGH, "An unmasked /proc shows and changes the kernel's state.", "Remove procMount."),
    ("pod-security/se-linux-options", HIGH, "A custom SELinux type, user or role weakens the node's confinement.", "Remove type, user and role from seLinuxOptions."),
    ("pod-security/seccomp-profile", HIGH, "Without a seccomp profile every system call of the kernel is within reach.", "Set seccompProfile.type to RuntimeDefault."),
    ("pod-security/sysctls", HIGH, "These sysctls are not isolated between pods.", "Keep only the sysctls that the Pod Security Standards name as safe."),
    ("pod-security/windows-host-process", CRITICAL, "A HostProcess container runs as a process of the Windows node.", "Remove windowsOptions.hostProcess."),
    ("pod-security/allow-privilege-escalation", HIGH, "A setuid binary can make the process root.", "Set securityContext.allowPrivilegeEscalation to false in every container."),
    ("pod-security/restricted-volumes", HIGH, "This volume type reaches outside the pod's own storage.", "Use configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected or secret."),
    ("pod-security/run-as-non-root", HIGH, "Root in the container is root on the node after a break-out.", "Set securityContext.runAsNonRoot to true."),
    ("pod-security/run-as-user", HIGH, "Root in the container is root on the node after a break-out.", "Remove runAsUser: 0 or set another user id."),
    ("pod-security/namespace-level", HIGH, "A namespace that enforces no Pod Security level admits privileged pods.", "Label it pod-security.kubernetes.io/enforce with the profile's level."),
)  # fmt: skip

KUBERNETES = (
    *_table(
        RuleClass.SUPPLY_CHAIN,
        ("kubernetes/image-digest", HIGH, "A tag can move to other bytes after the review.", "Name the image by @sha256: digest."),
        ("kubernetes/image-registry", HIGH, "Anybody may publish in a registry that the profile does not name.", "Use an image from an allowed registry."),
        ("kubernetes/image-pin-mismatch", HIGH, "The digest is not the one that the pin records for this repository.", "Use the pinned digest, or update the pin with its source."),
        ("kubernetes/image-rehearsal-pin", CRITICAL, "A rehearsal pin names bytes that no registry has.", "Pin the image to a real digest before it goes to a real target."),
    ),
    *_table(
        RuleClass.POD_SECURITY,
        ("kubernetes/image-runs-as-root", HIGH, "The image's own user is root, so the kubelet refuses it under runAsNonRoot, or it runs as root.", "Use its unprivileged sibling, or set a user id that the image can run as."),
        ("kubernetes/read-only-root", LOW, "A writable root file system lets an intruder leave tools behind.", "Set readOnlyRootFilesystem to true and mount emptyDir where the process writes."),
    ),
    *_table(
        RuleClass.RELIABILITY,
        ("kubernetes/resources", MEDIUM, "A container without requests and a memory limit can starve its neighbours.", "Set resources.requests.cpu, requests.memory and limits.memory."),
        ("kubernetes/probes", LOW, "Without probes traffic reaches containers that cannot serve.", "Set a readinessProbe and a livenessProbe."),
        ("kubernetes/default-namespace", LOW, "Objects in `default` share it with everything that names no namespace.", "Name a namespace of the workload's own."),
        ("kubernetes/model", HIGH, "The API server would refuse the object or drop the misspelt field.", "Write the field as the Kubernetes API names it."),
    ),
    *_table(
        RuleClass.SECRETS,
        ("kubernetes/secret-in-env", HIGH, "A secret written into a manifest stays in git for ever.", "Reference a Secret by secretKeyRef that is made outside the repository."),
        ("kubernetes/secret-object", HIGH, "base64 is no encryption: the secret stays in git for ever.", "Create the Secret outside the repository (external secrets, sealed secrets)."),
    ),
    *_table(
        RuleClass.RBAC,
        ("kubernetes/service-account-token", MEDIUM, "A mounted token lets whoever takes the pod talk to the API server.", "Set automountServiceAccountToken to false."),
        ("rbac/wildcard", HIGH, "A wildcard grants also what does not exist yet.", "Name verbs, resources and API groups."),
        ("rbac/escalate", CRITICAL, "escalate, bind and impersonate let the subject give itself any right.", "Remove these verbs."),
        ("rbac/cluster-admin", CRITICAL, "The subject can do anything in the whole cluster.", "Bind a Role with the few rights that are needed."),
        ("rbac/secrets", HIGH, "Reading Secrets is reading every credential of the namespace.", "Name the Secrets by resourceNames, or remove the right."),
        ("rbac/pod-exec", HIGH, "exec, attach and node proxy run commands in other people's containers.", "Remove pods/exec, pods/attach and nodes/proxy."),
        ("rbac/anonymous", CRITICAL, "The right is given to everybody who can reach the API server.", "Bind a named ServiceAccount or group."),
        ("rbac/webhook-fails-open", MEDIUM, "With failurePolicy Ignore the check is skipped whenever the webhook does not answer.", "Set failurePolicy to Fail."),
    ),
    *_table(
        RuleClass.PUBLIC_ENDPOINT,
        ("kubernetes/load-balancer", HIGH, "A LoadBalancer without source ranges is open to the internet.", "Use ClusterIP, an internal load balancer, or loadBalancerSourceRanges."),
        ("kubernetes/node-port", MEDIUM, "A NodePort opens the port on every node, past the ingress.", "Use ClusterIP behind an Ingress or Gateway."),
        ("kubernetes/external-ips", HIGH, "externalIPs can take over traffic that is meant for others.", "Remove externalIPs."),
    ),
    *_table(
        RuleClass.OPEN_INGRESS,
        ("kubernetes/network-policy", LOW, "Without a NetworkPolicy every pod of the cluster can talk to these.", "Add a NetworkPolicy that selects the pods."),
        ("kubernetes/network-policy-open", MEDIUM, "This NetworkPolicy admits every address to every port.", "Name the peers and ports that may talk to the pods."),
    ),
    *_table(
        RuleClass.PUBLIC_STORAGE,
        ("kubernetes/host-path-volume", CRITICAL, "A PersistentVolume over hostPath hands the node's files to whoever claims it.", "Use a CSI or cloud volume."),
    ),
)  # fmt: skip

TERRAFORM = (
    *_table(
        RuleClass.PUBLIC_STORAGE,
        ("terraform/s3-public-acl", CRITICAL, "Anybody on the internet can read, or write, the bucket.", "Remove the ACL; buckets are private unless told otherwise."),
        ("terraform/s3-public-policy", CRITICAL, "A policy for Principal * gives the bucket to everybody.", "Name the principals, or restrict by a condition on account, organisation or VPC endpoint."),
        ("terraform/s3-public-access-block", HIGH, "Without all four switches one later ACL or policy makes the bucket public.", "Add aws_s3_bucket_public_access_block with all four set to true."),
        ("terraform/s3-website", HIGH, "A website bucket is there to be public.", "Serve it through CloudFront with origin access control."),
        ("terraform/module-public-storage", CRITICAL, "The module is told to make its bucket public.", "Set the module's public access inputs to their private values."),
    ),
    *_table(
        RuleClass.ENCRYPTION,
        ("terraform/s3-encryption", MEDIUM, "Objects should be encrypted by a key that the account controls.", "Add aws_s3_bucket_server_side_encryption_configuration."),
        ("terraform/ebs-encryption", HIGH, "A snapshot of an unencrypted volume can be read anywhere.", "Set encrypted = true."),
        ("terraform/eks-secrets-encryption", HIGH, "Kubernetes Secrets lie readable in etcd and its backups.", "Add encryption_config for secrets with a KMS key."),
        ("terraform/database-encryption", HIGH, "A snapshot of an unencrypted database can be read anywhere.", "Set storage_encrypted = true."),
    ),
    *_table(
        RuleClass.OPEN_INGRESS,
        ("terraform/open-ingress", HIGH, "The whole internet can reach the port.", "Name the CIDR blocks or security groups that may connect."),
        ("terraform/open-ingress-sensitive", CRITICAL, "The whole internet can reach an administration or database port.", "Name the CIDR blocks or security groups that may connect."),
    ),
    *_table(
        RuleClass.IAM,
        ("terraform/iam-wildcard", CRITICAL, "Action * on resource * is administrator.", "Name the actions and resources."),
        ("terraform/iam-service-wildcard", HIGH, "A wildcard action on every resource grants far more than the change needs.", "Name the actions, or the resources."),
        ("terraform/iam-admin-policy", CRITICAL, "The attached managed policy is administrator.", "Attach a policy with the few rights that are needed."),
        ("terraform/iam-open-trust", CRITICAL, "Anybody with an AWS account, or any repository, can take the role.", "Name the principal, and for OIDC the exact `sub` and `aud`."),
    ),
    *_table(
        RuleClass.PUBLIC_ENDPOINT,
        ("terraform/eks-public-endpoint", HIGH, "The cluster's API is reachable from the internet.", "Set endpoint_public_access = false, or name the CIDR blocks."),
        ("terraform/database-public", CRITICAL, "The database is reachable from the internet.", "Set publicly_accessible = false."),
    ),
    *_table(
        RuleClass.LOGGING,
        ("terraform/eks-logging", MEDIUM, "Without api, audit and authenticator logs nobody can tell what happened.", "Set enabled_cluster_log_types to at least api, audit, authenticator."),
    ),
    *_table(
        RuleClass.SECRETS,
        ("terraform/secret-in-code", CRITICAL, "A secret written into code stays in git and in the state for ever.", "Read it from a secret store, or generate it in the cloud."),
    ),
    *_table(
        RuleClass.SUPPLY_CHAIN,
        ("terraform/provider-source", HIGH, "A provider is a program that runs with the credentials of the plan.", "Use a provider that the profile allows."),
        ("terraform/provider-unpinned", MEDIUM, "Without a version the next init may bring another program.", "Set a version constraint in required_providers."),
        ("terraform/module-source", HIGH, "A module's source is code that this review has not seen.", "Use a module in the repository, or one that the profile allows."),
        ("terraform/module-unpinned", HIGH, "The module can change after the review.", "Pin a registry module by exact version, a git module by ?ref=<full commit SHA>."),
    ),
    *_table(
        RuleClass.CODE_EXECUTION,
        ("terraform/provisioner", CRITICAL, "A provisioner runs commands where the plan is applied, with its credentials.", "Remove it; let the image or cloud-init do the work."),
        ("terraform/external-data", CRITICAL, "The external data source runs a program during plan.", "Remove it; use a provider's own data source."),
        ("terraform/http-data", HIGH, "The http data source sends data out, and brings unreviewed content in, during plan.", "Remove it; write the value down or use a provider's own data source."),
        ("terraform/reads-outside", HIGH, "A file function puts the runner's own files, its credentials among them, into plan and cloud.", "Name a file of this folder literally, as ${path.module}/NAME."),
        ("terraform/remote-state", HIGH, "Another state is fetched during plan, from a server that this review does not know.", "Read it from the state store that the workflow configures."),
        ("terraform/provider-endpoint", HIGH, "Signed requests and credentials would go to a server of the change's choice.", "Leave endpoints, proxies and certificates to the runner."),
        ("terraform/local-file", MEDIUM, "local_file writes files where the plan is applied.", "Remove it; use an output."),
        ("terraform/unjudged-resource", HIGH, "This resource takes its real content as text that no reader of Terraform understands.", "Use the provider's own resource for it."),
    ),
    *_table(
        RuleClass.STATE,
        ("terraform/backend", HIGH, "Another backend means another state: Terraform would build everything anew and forget the old.", "Leave the backend as it is, or move the state by hand first."),
        ("terraform/backend-foreign", HIGH, "The state holds every secret; who keeps it can also say what exists.", "Use s3, gcs or azurerm without an endpoint of your own."),
        ("terraform/local-backend", MEDIUM, "State on a runner's disk is lost with the runner.", "Use a remote backend with locking."),
        ("terraform/removed", HIGH, "A removed block makes Terraform forget or destroy what it manages.", "Leave it to a person, or waive it by name."),
        ("terraform/moved", LOW, "A moved block renames in the state; a wrong one destroys and rebuilds.", "Check in the plan of record that nothing is destroyed."),
        ("terraform/import", MEDIUM, "An import takes over a thing that somebody else made.", "Check the id, and in the plan of record what would change."),
    ),
    *_table(
        RuleClass.READING,
        ("terraform/json", HIGH, "A .tf.json file configures Terraform past the reader of .tf files.", "Write it as .tf."),
        ("terraform/override", HIGH, "An override file silently changes blocks that were reviewed elsewhere.", "Change the block itself."),
        ("terraform/duplicate-block", HIGH, "Terraform refuses, or one definition hides the other.", "Keep one definition."),
    ),
)  # fmt: skip

PLAN = (
    *_table(
        RuleClass.STATE,
        ("plan/destroy", HIGH, "The plan destroys something that exists.", "Make a change whose plan destroys nothing, or have the profile allow it."),
        ("plan/replace", HIGH, "The plan destroys something that exists and builds it anew.", "Change an attribute that can be updated in place."),
        ("plan/destroy-stateful", CRITICAL, "The plan destroys data.", "Keep the resource; deleting data is a goal of its own, for a person."),
        ("plan/unreadable", CRITICAL, _UNREAD, "Produce the plan with `terraform show -json` of a supported version."),
        ("plan/forget", HIGH, "Terraform would forget something that exists.", "Keep it in the configuration."),
        ("plan/drift", LOW, "Something was changed outside Terraform since the last apply.", "Look at it before applying."),
        ("plan/errored", CRITICAL, "The plan is incomplete: Terraform met an error while planning.", "Correct the configuration and plan again."),
    ),
)  # fmt: skip

WORKFLOW = _table(
    RuleClass.WORKFLOW,
    ("workflow/unpinned-action", HIGH, "A tag or branch of an action can move to other code that runs with the job's token.", "Pin the action by its full commit SHA."),
    ("workflow/unknown-action", HIGH, "A full SHA says which code runs, not whose: it may be a stranger's, or one of a fork's.", "Use an action and SHA of knowledge/pins.toml."),
    ("workflow/permissions-missing", MEDIUM, "Without `permissions` the job's token has the repository's default rights, often write.", "Set `permissions: {contents: read}` at the top and more only per job."),
    ("workflow/permissions-write-all", HIGH, "The token may write everything in the repository.", "Name the few permissions that are needed."),
    ("workflow/pull-request-target", CRITICAL, "Code of a stranger's pull request runs with the repository's secrets.", "Use `pull_request`, or do not check out the head."),
    ("workflow/dangerous-trigger", HIGH, "This event runs with the repository's rights on content that strangers write.", "Use push, pull_request or workflow_dispatch."),
    ("workflow/script-injection", CRITICAL, "Text that a stranger writes becomes part of a shell script.", "Pass it through `env:` and quote the variable."),
    ("workflow/secrets-inherit", HIGH, "Every secret of the repository goes to the called workflow.", "Name the secrets that it needs."),
    ("workflow/secrets-to-fork", HIGH, "A pull request's own code runs with this secret.", "Use the secret only in jobs that pull requests do not start."),
    ("workflow/self-hosted-runner", HIGH, "A pull request's code stays on a runner of one's own.", "Use a hosted runner for pull requests."),
    ("workflow/container-digest", HIGH, "A container's tag can move to other code.", "Name the container by @sha256: digest."),
    ("workflow/unsecure-commands", HIGH, "Old workflow commands let printed text set environment variables.", "Remove ACTIONS_ALLOW_UNSECURE_COMMANDS."),
    ("workflow/shape", HIGH, _UNREAD, "Write `on`, `jobs`, `runs-on` and `steps` as GitHub documents them."),
    ("workflow/pipe-to-shell", HIGH, "Code that is downloaded and run at once has not been reviewed.", "Install a pinned version and compare its digest."),
    ("workflow/triggered", LOW, "Publishing starts this workflow, with these rights.", "Nothing; it is listed so that everybody knows."),
)  # fmt: skip

GITOPS = _table(
    RuleClass.GITOPS,
    ("gitops/repository", CRITICAL, "The controller would apply content from a repository that the gate did not sign.", "Set repoURL to the change's own repository."),
    ("gitops/revision", CRITICAL, "A branch, tag or short SHA moves to content that the gate did not sign.", "Set targetRevision to the full commit SHA that publish produced."),
    ("gitops/automated-sync", HIGH, "Automated sync applies whatever the source says later, without a sign-off.", "Remove syncPolicy.automated, or have the profile allow it."),
    ("gitops/multi-source", HIGH, "More than one source cannot be judged as one signed tree.", "Use one `source`."),
    ("gitops/inline-values", HIGH, "Inline Helm values, parameters and kustomize patches change the objects after the review.", "Put rendered objects into the repository."),
    ("gitops/helm-chart", HIGH, "A chart from elsewhere is rendered in the cluster, after the review.", "Render the chart into the repository."),
    ("gitops/generator", HIGH, "A generator makes Applications that nobody signed.", "Write each Application out."),
    ("gitops/plugin", CRITICAL, "A config management plugin runs code in the controller.", "Remove the plugin."),
    ("gitops/project-wildcard", HIGH, "A project with * lets its Applications come from and go anywhere.", "Name repositories, clusters, namespaces and kinds."),
    ("gitops/default-project", MEDIUM, "The default project allows everything.", "Use a project of the application's own."),
    ("gitops/destination", HIGH, "The objects would land where the sign-off does not reach.", "Set destination.server and destination.namespace of the change."),
    ("gitops/operation", CRITICAL, "The object would start a sync of its own, of content that no sign-off names.", "Remove operation and status; the gate asks for the sync of the signed commit."),
    ("gitops/ignore-differences", MEDIUM, "Ignored fields may differ from what was signed without anybody noticing.", "Remove ignoreDifferences."),
    ("gitops/unjudged-kind", HIGH, "This kind makes objects that nobody has judged.", "Write the objects out."),
)  # fmt: skip

REGO = _table(
    RuleClass.SCOPE,
    ("rego/undecided", HIGH, "What a policy fails on, it has not judged.", "Correct the object's shape, or the policy."),
    ("rego/denied", HIGH, "A policy of the user denies it.", "Do what the message asks for."),
    ("rego/warned", LOW, "A policy of the user warns of it.", "Do what the message asks for."),
    ("rego/kube-system", HIGH, "Workloads in the control plane's namespaces share its rights.", "Use a namespace of the workload's own."),
    ("rego/single-replica-budget", MEDIUM, "A PodDisruptionBudget that allows no disruption blocks every node upgrade.", "Let at least one pod be disrupted."),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*READING, *POD_SECURITY, *KUBERNETES, *TERRAFORM, *PLAN, *WORKFLOW, *GITOPS, *REGO)


@cache
def _by_id() -> dict[str, Rule]:
    return {rule.id: rule for rule in RULES}


def rule(name: str) -> Rule:
    """The rule with this id; KeyError when an engine names one that is not in the table."""
    return _by_id()[name]


def table_digest() -> str:
    """The digest of the whole table: the version under which our engine reports itself."""
    return digest_of(canonical([entry.model_dump(mode="json") for entry in RULES]))
