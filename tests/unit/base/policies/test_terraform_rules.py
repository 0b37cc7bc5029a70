from __future__ import annotations

import pytest

from policies.remedy import apply
from policies.scan import scan
from tests.fakes.scanning import COMMIT, CONTEXT, FixedScanner, judge, rules

PINNED = """
terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
"""
BUCKET = """
resource "aws_s3_bucket" "logs" {
  bucket = "acme-logs"
}
resource "aws_s3_bucket_public_access_block" "logs" {
  bucket                  = aws_s3_bucket.logs.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}
resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}
"""
CLUSTER = """
resource "aws_kms_key" "eks" {
  enable_key_rotation = true
}
resource "aws_eks_cluster" "main" {
  name     = "main"
  role_arn = aws_iam_role.eks.arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "scheduler"]
  vpc_config {
    subnet_ids              = var.subnets
    endpoint_public_access  = false
    endpoint_private_access = true
  }
  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.eks.arn
    }
  }
}
"""


def policy(principal: str, condition: str = "") -> str:
    return f"""resource "aws_s3_bucket_policy" "logs" {{
      bucket = aws_s3_bucket.logs.id
      policy = jsonencode({{
        Version = "2012-10-17"
        Statement = [{{ Effect = "Allow", Principal = {principal}, Action = "s3:GetObject", Resource = "*" {condition} }}]
      }})
    }}"""


def document(principals: str, extra: str = "") -> str:
    return f"""data "aws_iam_policy_document" "d" {{
      statement {{
        actions = ["s3:GetObject"]
        resources = ["*"]
        principals {{
          {principals}
        }}
        {extra}
      }}
    }}
    resource "aws_s3_bucket_policy" "logs" {{
      bucket = aws_s3_bucket.logs.id
      policy = data.aws_iam_policy_document.d.json
    }}"""


def group(rule: str) -> str:
    return f'resource "aws_security_group" "sg" {{\n  name = "sg"\n  ingress {{\n    {rule}\n  }}\n}}'


def inline(statement: str) -> str:
    return f'resource "aws_iam_policy" "p" {{\n policy = jsonencode({{ Statement = [{statement}] }})\n}}'


def trust(principal: str, condition: str = "{}") -> str:
    return (
        'resource "aws_iam_role" "r" {\n assume_role_policy = jsonencode({ Statement = [{ Effect = "Allow", '
        f'Action = "sts:AssumeRole", Principal = {principal}, Condition = {condition} }}] }})\n}}'
    )


GITHUB = '{ Federated = "arn:aws:iam::1:oidc-provider/token.actions.githubusercontent.com" }'
SUB = "token.actions.githubusercontent.com:sub"

# (rule, what breaks it, what does not)
TABLE: list[tuple[str, list[str], list[str]]] = [
    ("terraform/s3-public-acl", [
        BUCKET + 'resource "aws_s3_bucket_acl" "logs" {\n  bucket = aws_s3_bucket.logs.id\n  acl = "public-read"\n}',
        BUCKET.replace('bucket = "acme-logs"', 'bucket = "acme-logs"\n  acl = "public-read-write"'),
        BUCKET + 'variable "acl" {\n  default = "authenticated-read"\n}\nresource "aws_s3_bucket_acl" "a" {\n  acl = var.acl\n}',
        BUCKET + 'locals {\n  acl = "public-read"\n}\nresource "aws_s3_bucket_acl" "a" {\n  acl = "${local.acl}"\n}',
        'resource "aws_s3_bucket_acl" "a" {\n access_control_policy {\n grant {\n permission = "READ"\n grantee {\n type = "Group"\n uri = "http://acs.amazonaws.com/groups/global/AllUsers"\n }\n }\n }\n}',
    ], [
        BUCKET + 'resource "aws_s3_bucket_acl" "logs" {\n  bucket = aws_s3_bucket.logs.id\n  acl = "private"\n}',
        BUCKET + 'resource "aws_s3_bucket_acl" "logs" {\n  acl = "log-delivery-write"\n}',
    ]),
    ("terraform/s3-public-policy", [
        BUCKET + policy('"*"'),
        BUCKET + policy('{ AWS = "*" }'),
        BUCKET + policy('{ AWS = ["arn:aws:iam::1:root", "*"] }'),
        BUCKET + policy('"*"', ', Condition = { StringNotEquals = { "aws:PrincipalOrgID" = "o-1" } }'),
        BUCKET + policy('"*"', ', Condition = { IpAddress = { "aws:SourceIp" = "0.0.0.0/0" } }'),
        BUCKET + policy('"*"', ', Condition = { StringLike = { "aws:PrincipalOrgID" = "*" } }'),
        BUCKET + policy('"*"', ', Condition = { Bool = { "aws:SecureTransport" = "true" } }'),
        BUCKET + document('type = "*"\n identifiers = ["*"]'),
        BUCKET + document('type = "AWS"\n identifiers = ["*"]'),
        BUCKET + 'resource "aws_s3_bucket_policy" "p" {\n policy = <<EOF\n{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}}\nEOF\n}',
    ], [
        BUCKET + policy('{ AWS = "arn:aws:iam::111111111111:root" }'),
        BUCKET + policy('{ Service = "logging.s3.amazonaws.com" }'),
        BUCKET + policy('"*"', ', Condition = { StringEquals = { "aws:SourceVpce" = "vpce-1" } }'),
        BUCKET + policy('"*"', ', Condition = { IpAddress = { "aws:SourceIp" = "203.0.113.0/24" } }'),
        BUCKET + policy('"*"').replace('"Allow"', '"Deny"'),
        BUCKET + document('type = "AWS"\n identifiers = ["arn:aws:iam::1:root"]'),
        BUCKET + document('type = "*"\n identifiers = ["*"]', 'condition {\n test = "StringEquals"\n variable = "aws:PrincipalOrgID"\n values = ["o-1"]\n}'),
    ]),
    ("terraform/s3-public-access-block", [
        'resource "aws_s3_bucket" "logs" {\n  bucket = "x"\n}',
        BUCKET.replace("block_public_acls       = true", "block_public_acls = false"),
        BUCKET.replace("  ignore_public_acls      = true\n", ""),
        BUCKET.replace('aws_s3_bucket_public_access_block" "logs" {\n  bucket                  = aws_s3_bucket.logs.id',
                       'aws_s3_bucket_public_access_block" "logs" {\n  bucket = aws_s3_bucket.other.id'),
        BUCKET.replace("restrict_public_buckets = true", "restrict_public_buckets = var.unknown"),
    ], [
        BUCKET,
        BUCKET.replace("bucket                  = aws_s3_bucket.logs.id", 'bucket = "acme-logs"'),
        BUCKET.replace("aws_s3_bucket.logs.id\n  block", "aws_s3_bucket.logs.bucket\n  block"),
        BUCKET.replace("block_public_acls       = true", "block_public_acls = var.on") + 'variable "on" {\n default = true\n}',
        BUCKET.replace('bucket = "acme-logs"', 'for_each = toset(["a"])\n  bucket = each.value').replace(
            "aws_s3_bucket.logs.id", "aws_s3_bucket.logs[each.key].id"),
    ]),
    ("terraform/s3-website", [BUCKET + 'resource "aws_s3_bucket_website_configuration" "w" {\n bucket = aws_s3_bucket.logs.id\n}'], [BUCKET]),
    ("terraform/module-public-storage", [
        'module "b" {\n source = "terraform-aws-modules/s3-bucket/aws"\n version = "4.1.0"\n block_public_acls = false\n}',
        'module "b" {\n source = "terraform-aws-modules/s3-bucket/aws"\n version = "4.1.0"\n acl = "public-read"\n}',
    ], ['module "b" {\n source = "terraform-aws-modules/s3-bucket/aws"\n version = "4.1.0"\n acl = "private"\n}']),
    ("terraform/s3-encryption", [BUCKET.partition('resource "aws_s3_bucket_server')[0]], [BUCKET]),
    ("terraform/ebs-encryption", [
        'resource "aws_ebs_volume" "v" {\n size = 1\n}',
        'resource "aws_instance" "i" {\n root_block_device {\n  volume_size = 1\n }\n}',
        'resource "aws_launch_template" "t" {\n block_device_mappings {\n ebs {\n encrypted = false\n }\n }\n}',
    ], [
        'resource "aws_ebs_volume" "v" {\n encrypted = true\n}',
        'resource "aws_instance" "i" {\n root_block_device {\n  encrypted = true\n }\n}',
        'resource "aws_launch_template" "t" {\n block_device_mappings {\n ebs {\n encrypted = "true"\n }\n }\n}',
    ]),
    ("terraform/database-encryption", ['resource "aws_db_instance" "d" {\n engine = "postgres"\n}'],
     ['resource "aws_db_instance" "d" {\n storage_encrypted = true\n}', 'resource "aws_db_instance" "d" {\n replicate_source_db = "x"\n}']),
    ("terraform/database-public", ['resource "aws_db_instance" "d" {\n publicly_accessible = true\n}'],
     ['resource "aws_db_instance" "d" {\n publicly_accessible = false\n}', 'resource "aws_db_instance" "d" {\n}']),
    ("terraform/open-ingress-sensitive", [
        group('from_port = 22\n to_port = 22\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]'),
        group('from_port = 22\n to_port = 22\n protocol = "tcp"\n ipv6_cidr_blocks = ["::/0"]'),
        group('from_port = 0\n to_port = 65535\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]'),
        group('from_port = 0\n to_port = 0\n protocol = "-1"\n cidr_blocks = ["10.0.0.0/8", "0.0.0.0/0"]'),
        group('from_port = 5432\n to_port = 5432\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/1", "128.0.0.0/1"]'),
        'variable "c" {\n default = ["0.0.0.0/0"]\n}\n' + group('from_port = "3389"\n to_port = "3389"\n protocol = "tcp"\n cidr_blocks = var.c'),
        'resource "aws_security_group_rule" "r" {\n type = "ingress"\n from_port = 22\n to_port = 22\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]\n}',
        'resource "aws_vpc_security_group_ingress_rule" "r" {\n ip_protocol = "tcp"\n from_port = 6379\n to_port = 6379\n cidr_ipv4 = "0.0.0.0/0"\n}',
        'resource "aws_vpc_security_group_ingress_rule" "r" {\n ip_protocol = "-1"\n cidr_ipv6 = "::/0"\n}',
        'resource "aws_security_group" "s" {\n ingress = [{ from_port = 22, to_port = 22, protocol = "tcp", cidr_blocks = ["0.0.0.0/0"] }]\n}',
        'resource "aws_security_group" "s" {\n dynamic "ingress" {\n for_each = [22]\n content {\n from_port = 22\n to_port = 22\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]\n }\n }\n}',
    ], [
        group('from_port = 22\n to_port = 22\n protocol = "tcp"\n cidr_blocks = ["10.0.0.0/8"]'),
        group('from_port = 443\n to_port = 443\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]'),
        group('from_port = 22\n to_port = 22\n protocol = "tcp"\n security_groups = ["sg-1"]'),
        group('from_port = 8\n to_port = 0\n protocol = "icmp"\n cidr_blocks = ["0.0.0.0/0"]'),
        'resource "aws_security_group_rule" "r" {\n type = "egress"\n from_port = 0\n to_port = 0\n protocol = "-1"\n cidr_blocks = ["0.0.0.0/0"]\n}',
        'resource "aws_security_group" "s" {\n egress {\n from_port = 0\n to_port = 0\n protocol = "-1"\n cidr_blocks = ["0.0.0.0/0"]\n }\n}',
    ]),
    ("terraform/open-ingress", [group('from_port = 8080\n to_port = 8080\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]')],
     [group('from_port = 80\n to_port = 80\n protocol = "tcp"\n cidr_blocks = ["0.0.0.0/0"]')]),
    ("terraform/iam-wildcard", [
        inline('{ Effect = "Allow", Action = "*", Resource = "*" }'),
        inline('{ Effect = "Allow", Action = ["s3:Get", "*"], Resource = ["*"] }'),
        inline('{ Effect = "Allow", NotAction = "iam:*", Resource = "*" }'),
        'data "aws_iam_policy_document" "d" {\n statement {\n actions = ["*"]\n resources = ["*"]\n }\n}\nresource "aws_iam_role_policy" "p" {\n policy = data.aws_iam_policy_document.d.json\n}',
    ], [
        inline('{ Effect = "Allow", Action = ["s3:GetObject"], Resource = "*" }'),
        inline('{ Effect = "Allow", Action = "*", Resource = "arn:aws:s3:::x/*" }'),
        inline('{ Effect = "Deny", Action = "*", Resource = "*" }'),
        'resource "aws_kms_key" "k" {\n policy = jsonencode({ Statement = [{ Effect = "Allow", Action = "kms:*", Resource = "*", Principal = { AWS = "arn:aws:iam::1:root" } }] })\n}',
    ]),
    ("terraform/iam-service-wildcard", [inline('{ Effect = "Allow", Action = "s3:*", Resource = "*" }')],
     [inline('{ Effect = "Allow", Action = "s3:*", Resource = "arn:aws:s3:::x" }')]),
    ("terraform/iam-admin-policy", [
        'resource "aws_iam_role_policy_attachment" "a" {\n policy_arn = "arn:aws:iam::aws:policy/AdministratorAccess"\n}',
        'resource "aws_iam_role_policy_attachment" "a" {\n policy_arn = "arn:${var.p}:iam::aws:policy/AdministratorAccess"\n}',
        'resource "aws_iam_role" "r" {\n managed_policy_arns = ["arn:aws:iam::aws:policy/IAMFullAccess"]\n}',
    ], ['resource "aws_iam_role_policy_attachment" "a" {\n policy_arn = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"\n}']),
    ("terraform/iam-open-trust", [
        trust('{ AWS = "*" }'),
        trust(GITHUB),
        trust(GITHUB, f'{{ StringLike = {{ "{SUB}" = "repo:*" }} }}'),
        trust(GITHUB, f'{{ StringLike = {{ "{SUB}" = "repo:acme/*" }} }}'),
        trust(GITHUB, '{ StringEquals = { "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com" } }'),
    ], [
        trust('{ Service = "eks.amazonaws.com" }'),
        trust('{ AWS = "arn:aws:iam::1:root" }'),
        trust(GITHUB, f'{{ StringEquals = {{ "{SUB}" = "repo:acme/platform:ref:refs/heads/main" }} }}'),
        trust(GITHUB, f'{{ StringLike = {{ "{SUB}" = "repo:acme/platform:*" }} }}'),
    ]),
    ("terraform/eks-public-endpoint", [
        CLUSTER.replace("endpoint_public_access  = false", "endpoint_public_access  = true"),
        CLUSTER.replace("    endpoint_public_access  = false\n", ""),
        CLUSTER.replace("endpoint_public_access  = false", 'endpoint_public_access = true\n public_access_cidrs = ["0.0.0.0/0"]'),
    ], [CLUSTER, CLUSTER.replace("endpoint_public_access  = false", 'endpoint_public_access = true\n public_access_cidrs = ["203.0.113.7/32"]')]),
    ("terraform/eks-secrets-encryption", [CLUSTER.partition("  encryption_config")[0] + "}\n"], [CLUSTER]),
    ("terraform/eks-logging", [
        CLUSTER.replace('["api", "audit", "authenticator", "scheduler"]', '["api"]'),
        CLUSTER.replace('  enabled_cluster_log_types = ["api", "audit", "authenticator", "scheduler"]\n', ""),
    ], [CLUSTER]),
    ("terraform/secret-in-code", [
        'resource "aws_db_instance" "d" {\n password = "hunter22"\n}',
        'variable "db_password" {\n default = "hunter22"\n}',
        'provider "aws" {\n access_key = "AKIAABCDEFGHIJKLMNOP"\n}',
        'resource "aws_lambda_function" "f" {\n environment {\n variables = { API_KEY = "abc123" }\n }\n}',
        'locals {\n url = "postgres://admin:s3cret@db.example:5432/x"\n}',
    ], [
        'resource "aws_db_instance" "d" {\n password = var.db_password\n}\nvariable "db_password" {\n sensitive = true\n}',
        'resource "aws_db_instance" "d" {\n manage_master_user_password = true\n}',
        'variable "secret_name" {\n default = "prod/db"\n}',
        'resource "aws_lambda_function" "f" {\n environment {\n variables = { API_KEY = "arn:aws:secretsmanager:x" }\n }\n}',
    ]),
    ("terraform/provider-source", [
        'terraform {\n required_providers {\n x = { source = "evil/x", version = "1.0.0" }\n }\n}',
        'resource "awscc_s3_bucket" "b" {\n}',
        'data "google_project" "p" {\n}',
    ], [PINNED + BUCKET, PINNED.replace("hashicorp/aws", "registry.terraform.io/hashicorp/aws"), BUCKET]),
    ("terraform/provider-unpinned", [PINNED.replace('      version = "~> 5.100"\n', "")], [PINNED]),
    ("terraform/module-source", [
        'module "m" {\n source = "github.com/evil/m"\n}',
        'module "m" {\n source = "./missing"\n}',
        'module "m" {\n source = var.source\n}',
        'module "m" {\n source = "terraform-aws-modules/vpc/aws"\n version = "5.0.0"\n}',
    ], [PINNED]),
    ("terraform/module-unpinned", [
        'module "m" {\n source = "git::https://git.example/m.git?ref=main"\n}',
        'module "m" {\n source = "terraform-aws-modules/vpc/aws"\n}',
        'module "m" {\n source = "terraform-aws-modules/vpc/aws"\n version = "~> 5.0"\n}',
    ], [
        f'module "m" {{\n source = "git::https://git.example/m.git?ref={COMMIT}"\n}}',
        'module "m" {\n source = "terraform-aws-modules/vpc/aws"\n version = "5.0.0"\n}',
    ]),
    ("terraform/provisioner", ['resource "aws_instance" "i" {\n provisioner "local-exec" {\n command = "x"\n }\n}'], [PINNED]),
    ("terraform/external-data", ['data "external" "e" {\n program = ["sh"]\n}'], [PINNED]),
    ("terraform/http-data", ['data "http" "e" {\n url = "https://x"\n}'], [PINNED]),
    ("terraform/local-file", ['resource "local_file" "e" {\n filename = "x"\n}'], [PINNED]),
    ("terraform/unjudged-resource", ['resource "aws_cloudformation_stack" "s" {\n template_body = "x"\n}'], [PINNED]),
    ("terraform/local-backend", ['terraform {\n backend "local" {\n }\n}'], ['terraform {\n backend "s3" {\n bucket = "x"\n }\n}']),
    ("terraform/removed", ["removed {\n from = aws_s3_bucket.x\n}"], [PINNED]),
    ("terraform/moved", ["moved {\n from = a.b\n to = a.c\n}"], [PINNED]),
    ("terraform/import", ['import {\n to = aws_s3_bucket.x\n id = "x"\n}'], [PINNED]),
    ("terraform/duplicate-block", ['variable "a" {\n}\nvariable "a" {\n}'], ['variable "a" {\n}\nvariable "b" {\n}']),
    ("reading/duplicate-key", ['resource "aws_s3_bucket" "b" {\n bucket = "a"\n bucket = "b"\n}', "locals {\n a = { b = 1, b = 2 }\n}"], [BUCKET]),
    ("reading/syntax", ['resource "a" {{{', 'resource "a" "b" {', "a = = 1", 'resource "aws_s3_bucket" {\n}'], [BUCKET, "# nothing\n", ""]),
    ("reading/hidden-character", ["# \u202e\nlocals {\n a = 1\n}"], ["# 한국어\nlocals {\n a = 1\n}"]),
]  # fmt: skip
BAD = [(rule, text) for rule, bad, _ in TABLE for text in bad]
FINE = [(rule, text) for rule, _, fine in TABLE for text in fine]


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_what_breaks_a_rule(rule: str, text: str) -> None:
    assert rule in rules(judge({"infra/main.tf": text}))


@pytest.mark.parametrize(("rule", "text"), FINE)
def test_what_does_not(rule: str, text: str) -> None:
    assert rule not in rules(judge({"infra/main.tf": text}))


@pytest.mark.parametrize("text", [PINNED + BUCKET, PINNED + CLUSTER, PINNED])
def test_sound_code_has_no_finding_at_all(text: str) -> None:
    assert judge({"infra/main.tf": text}) == ()


VPC = 'resource "aws_vpc" "main" {\n  cidr_block = "10.0.0.0/16"\n}\n'
REPAIRABLE = [
    text
    for rule, text in BAD
    if rule
    in {
        "terraform/s3-public-acl",
        "terraform/s3-public-access-block",
        "terraform/s3-encryption",
        "terraform/eks-public-endpoint",
        "terraform/eks-secrets-encryption",
        "terraform/eks-logging",
        "terraform/database-encryption",
        "terraform/database-public",
    }
    and "AllUsers" not in text
] + [
    VPC + text
    for rule, text in BAD
    if rule in {"terraform/open-ingress-sensitive", "terraform/open-ingress"}
    and not any(odd in text for odd in ("dynamic", "ingress = ["))
]


@pytest.mark.parametrize("text", REPAIRABLE)
def test_the_remediations_alone_repair_the_code(text: str) -> None:
    files = {"infra/main.tf": text}
    findings = [f for f in judge(files) if f.rule != "terraform/provider-source"]
    assert findings
    fixes = [fix for finding in findings for fix in finding.remediations]
    repaired = apply(fixes, {"infra/main.tf": text.encode()})
    assert apply(fixes, repaired) == repaired
    assert judge({"infra/main.tf": repaired["infra/main.tf"].decode()}) == ()


def test_terraform_in_json_and_overrides_are_refused() -> None:
    assert "terraform/json" in rules(judge({"infra/main.tf.json": "{}"}))
    assert "terraform/override" in rules(judge({"infra/main_override.tf": PINNED}))


def test_a_module_in_the_tree_is_fine_and_its_folder_is_judged() -> None:
    files = {"infra/main.tf": 'module "m" {\n  source = "../modules/m"\n}\n', "modules/m/main.tf": BUCKET}
    assert judge(files) == ()


MODULE = (
    BUCKET
    + 'variable "acl" {\n  default = "private"\n}\nresource "aws_s3_bucket_acl" "a" {\n  acl = var.acl\n}'
)
CALL = 'module "m" {\n  source = "../modules/m"\n  acl    = %s\n}\n'


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (CALL % '"public-read"', True),
        (CALL % "local.acl" + 'locals {\n  acl = "public-read"\n}\n', True),
        (CALL % "var.acl" + 'variable "acl" {\n  default = "public-read"\n}\n', True),
        (CALL % '"private"', False),
    ],
)
def test_the_value_that_a_call_gives_counts_and_is_charged_to_the_call(call: str, *, said: bool) -> None:
    base = {"modules/m/main.tf": MODULE.encode()}
    tree = {**base, "infra/main.tf": call.encode()}
    found = scan(tree, {"infra/main.tf"}, context=CONTEXT, scanner=FixedScanner(), base=base).findings
    assert ("terraform/s3-public-acl" in rules(found)) is said


def test_a_value_goes_through_a_module_between() -> None:
    between = 'variable "given" {\n}\nmodule "m" {\n  source = "../m"\n  acl    = var.given\n}\n'
    call = 'module "b" {\n  source = "../modules/between"\n  given  = "public-read"\n}\n'
    tree = {"infra/main.tf": call, "modules/between/main.tf": between, "modules/m/main.tf": MODULE}
    data = {path: text.encode() for path, text in tree.items()}
    found = scan(data, {"infra/main.tf"}, context=CONTEXT, scanner=FixedScanner(), base={}).findings
    assert "terraform/s3-public-acl" in rules(found)


@pytest.mark.parametrize("wide", [1, 40])
def test_more_calls_of_modules_than_are_followed_are_refused(wide: int) -> None:
    loop = "".join(f'module "m{n}" {{\n  source = "../a"\n}}\n' for n in range(wide))
    tree = {"a/main.tf": loop.encode(), "infra/main.tf": loop.encode()}
    found = scan(tree, {"infra/main.tf"}, context=CONTEXT, scanner=FixedScanner(), base={}).findings
    assert {(f.rule, f.path) for f in found} >= {("reading/scanner-gap", "infra/main.tf")}


def test_tfvars_give_variables_their_values() -> None:
    code = (
        BUCKET
        + 'variable "acl" {\n  default = "private"\n}\nresource "aws_s3_bucket_acl" "a" {\n  acl = var.acl\n}'
    )
    assert judge({"infra/main.tf": code}) == ()
    assert "terraform/s3-public-acl" in rules(
        judge({"infra/main.tf": code, "infra/x.auto.tfvars": 'acl = "public-read"\n'})
    )


def test_the_value_that_terraform_would_use_is_the_one_that_is_judged() -> None:
    code = BUCKET + 'variable "acl" {\n}\nresource "aws_s3_bucket_acl" "a" {\n  acl = var.acl\n}'
    public, private = 'acl = "public-read"\n', 'acl = "private"\n'
    for first, last, said in ((public, private, False), (private, public, True)):
        for names in (("terraform.tfvars", "a.auto.tfvars"), ("a.auto.tfvars", "b.auto.tfvars")):
            tree = {"infra/main.tf": code, f"infra/{names[0]}": first, f"infra/{names[1]}": last}
            assert ("terraform/s3-public-acl" in rules(judge(tree))) is said, names


BACKEND = 'terraform {\n  backend "s3" {\n    bucket = "state"\n  }\n}\n'


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (BACKEND, BACKEND.replace("state", "other"), True),
        (BACKEND, "locals {\n}\n", True),
        (BACKEND, BACKEND + "locals {\n}\n", False),
        (None, BACKEND, False),
    ],
)
def test_another_backend_is_another_state(before: str | None, after: str, *, said: bool) -> None:
    base = {} if before is None else {"infra/main.tf": before.encode()}
    tree = {"infra/main.tf": after.encode()}
    result = scan(tree, {"infra/main.tf"}, context=CONTEXT, scanner=FixedScanner(), base=base)
    assert ("terraform/backend" in rules(result.findings)) is said


def test_findings_of_the_same_folder_are_charged_and_of_others_not() -> None:
    bare = b'resource "aws_s3_bucket" "logs" {\n  bucket = "x"\n}\n'
    tree = {"infra/old.tf": bare, "infra/new.tf": b"locals {\n}\n", "other/old.tf": bare}
    result = scan(tree, {"infra/new.tf"}, context=CONTEXT, scanner=FixedScanner())
    assert {f.path for f in result.findings} == {"infra/old.tf"}
