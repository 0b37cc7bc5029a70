resource "aws_eks_cluster" "cluster" {
  name     = "platform"
  version  = "1.34"
  role_arn = aws_iam_role.cluster.arn

  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  vpc_config {
    subnet_ids              = [for subnet in aws_subnet.private : subnet.id]
    endpoint_private_access = true
    endpoint_public_access  = false
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = aws_kms_key.cluster.arn
    }
  }

  depends_on = [
    aws_cloudwatch_log_group.cluster,
    aws_iam_role_policy_attachment.cluster,
  ]
}

# Made before the cluster, so that its logs are encrypted and kept from the first line on.
resource "aws_cloudwatch_log_group" "cluster" {
  name              = "/aws/eks/platform/cluster"
  retention_in_days = 365
  kms_key_id        = aws_kms_key_policy.cluster.key_id
}

resource "aws_eks_addon" "pod_identity" {
  cluster_name  = aws_eks_cluster.cluster.name
  addon_name    = "eks-pod-identity-agent"
  addon_version = "v1.3.10-eksbuild.2"
}

resource "aws_eks_addon" "vpc_cni" {
  cluster_name         = aws_eks_cluster.cluster.name
  addon_name           = "vpc-cni"
  addon_version        = "v1.20.4-eksbuild.2"
  configuration_values = jsonencode({ enableNetworkPolicy = "true" })

  pod_identity_association {
    role_arn        = aws_iam_role.cni.arn
    service_account = "aws-node"
  }

  depends_on = [aws_eks_addon.pod_identity, aws_iam_role_policy_attachment.cni]
}

resource "aws_eks_addon" "kube_proxy" {
  cluster_name  = aws_eks_cluster.cluster.name
  addon_name    = "kube-proxy"
  addon_version = "v1.34.0-eksbuild.2"
}

resource "aws_eks_addon" "coredns" {
  cluster_name  = aws_eks_cluster.cluster.name
  addon_name    = "coredns"
  addon_version = "v1.12.3-eksbuild.1"

  depends_on = [aws_eks_node_group.workers]
}
