"""A Terraform workflow with the contract of the terraform-workflow blueprint, and code for it to plan."""

WORKFLOW = """
name: terraform
run-name: terraform ${{ inputs.mode || 'plan' }} ${{ inputs.change_id || github.sha }}
on:
  workflow_dispatch:
    inputs:
      change_id: {type: string, required: true}
      commit: {type: string, required: true}
      mode: {type: choice, required: true, options: [plan, apply]}
      plan_run_id: {type: string, default: ""}
      plan_sha256: {type: string, default: ""}
env: {TF_ROOT: infra, TF_INPUT: "false"}
jobs:
  plan:
    if: inputs.mode == 'plan'
    runs-on: ubuntu-24.04
    steps:
      - {name: Signed, env: {SIGNED: "${{ inputs.commit }}", HERE: "${{ github.sha }}"}, run: test "$SIGNED" = "$HERE"}
      - {name: Check out, uses: actions/checkout@v4}
      - {name: Format, run: terraform -chdir="$TF_ROOT" fmt -check -diff}
      - {name: Initialise, run: terraform -chdir="$TF_ROOT" init -backend-config="bucket=it's mine" -backend-config="key=k"}
      - {name: Validate, run: terraform -chdir="$TF_ROOT" validate}
      - {name: Plan, run: terraform -chdir="$TF_ROOT" plan -out=tfplan}
      - name: Write
        run: |
          mkdir plan
          mv "$TF_ROOT/tfplan" plan/tfplan
          terraform -chdir="$TF_ROOT" show -json "$PWD/plan/tfplan" > plan/plan.json
          sha256sum plan/tfplan | cut -d ' ' -f 1 > plan/plan.sha256
      - {name: Keep, uses: actions/upload-artifact@v4, with: {name: plan, path: plan, if-no-files-found: error}}
  apply:
    if: inputs.mode == 'apply'
    runs-on: ubuntu-24.04
    environment: production
    steps:
      - {name: Check out, uses: actions/checkout@v4}
      - {name: Fetch, uses: actions/download-artifact@v4, with: {name: plan, path: plan, run-id: "${{ inputs.plan_run_id }}"}}
      - name: Judged
        env: {JUDGED: "${{ inputs.plan_sha256 }}"}
        run: |
          test -n "$JUDGED"
          test "${JUDGED#sha256:}" = "$(sha256sum plan/tfplan | cut -d ' ' -f 1)"
      - {name: Initialise, run: terraform -chdir="$TF_ROOT" init}
      - {name: Apply, run: terraform -chdir="$TF_ROOT" apply "$PWD/plan/tfplan"}
"""
PLAIN = """terraform {
  backend "s3" {}
}

resource "terraform_data" "x" {
  input = "one"
}
"""
