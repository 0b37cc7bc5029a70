resource "aws_kms_key" "bucket" {
  description             = "S3 bucket logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

# A key policy names the key itself by "*"; rights to use it are given by IAM in this account. The key's own ARN says
# which account that is, without asking AWS while planning.
resource "aws_kms_key_policy" "bucket" {
  key_id = aws_kms_key.bucket.key_id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Account"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${split(":", aws_kms_key.bucket.arn)[4]}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}
