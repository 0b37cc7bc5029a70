# Nodes live in private subnets and leave through NAT; the public subnets hold nothing but the NAT gateway.
resource "aws_vpc" "cluster" {
  cidr_block           = "10.40.0.0/16"
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = {
    Name = "platform"
  }
}

# The VPC's default security group admits nothing.
resource "aws_default_security_group" "cluster" {
  vpc_id = aws_vpc.cluster.id
}

resource "aws_subnet" "private" {
  for_each = {
    "apne2-az1" = "10.40.0.0/19"
    "apne2-az3" = "10.40.32.0/19"
  }

  vpc_id               = aws_vpc.cluster.id
  availability_zone_id = each.key
  cidr_block           = each.value

  tags = {
    Name                              = "private-${each.key}"
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_subnet" "public" {
  vpc_id                  = aws_vpc.cluster.id
  availability_zone_id    = "apne2-az1"
  cidr_block              = "10.40.192.0/24"
  map_public_ip_on_launch = false

  tags = {
    Name = "nat"
  }
}

resource "aws_internet_gateway" "cluster" {
  vpc_id = aws_vpc.cluster.id
}

resource "aws_eip" "nat" {
  domain     = "vpc"
  depends_on = [aws_internet_gateway.cluster]
}

resource "aws_nat_gateway" "cluster" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.public.id
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.cluster.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.cluster.id
  }
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.cluster.id

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.cluster.id
  }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}

resource "aws_flow_log" "cluster" {
  vpc_id          = aws_vpc.cluster.id
  traffic_type    = "ALL"
  iam_role_arn    = aws_iam_role.flow_log.arn
  log_destination = aws_cloudwatch_log_group.flow_log.arn
}

resource "aws_cloudwatch_log_group" "flow_log" {
  name              = "/aws/vpc/platform/flow"
  retention_in_days = 365
  kms_key_id        = aws_kms_key_policy.cluster.key_id
}
