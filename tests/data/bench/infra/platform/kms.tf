# One key for Kubernetes Secrets, node disks and logs of this cluster.
resource "aws_kms_key" "cluster" {
  description             = "EKS cluster platform"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

# A key policy names the key itself by "*". The account's own administrators keep the key usable and deletable.
resource "aws_kms_key_policy" "cluster" {
  key_id = aws_kms_key.cluster.key_id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.ap-northeast-2.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:*:${local.account}:log-group:*" }
        }
      },
      {
        Sid       = "NodeDisks"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${local.account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
        Resource  = "*"
      },
      {
        Sid       = "NodeDiskGrants"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${local.account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling" }
        Action    = "kms:CreateGrant"
        Resource  = "*"
        Condition = {
          Bool = { "kms:GrantIsForAWSResource" = "true" }
        }
      },
    ]
  })
}

locals {
  # The key's own ARN says which account this is, without asking AWS while planning.
  account = split(":", aws_kms_key.cluster.arn)[4]
}
