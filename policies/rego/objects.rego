# METADATA
# title: What every object that we apply must have
package countersign.objects

import rego.v1

workloads := {"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"}

system_namespaces := {"kube-system", "kube-public", "kube-node-lease"}

# generateName stands in for a name: an undefined name would silence every rule below
name := sprintf("%s/%s", [input.kind, object.get(input.metadata, "name", object.get(input.metadata, "generateName", "?"))])

# A workload among the control plane's own
deny contains {"rule": "rego/kube-system", "msg": msg} if {
	workloads[input.kind]
	system_namespaces[input.metadata.namespace]
	msg := sprintf("%s is in %s", [name, input.metadata.namespace])
}

# A budget that never lets a node be drained
deny contains {"rule": "rego/single-replica-budget", "msg": msg} if {
	input.kind == "PodDisruptionBudget"
	object.get(input.spec, "maxUnavailable", 1) in {0, "0", "0%"}
	msg := sprintf("%s allows no disruption", [name])
}

deny contains {"rule": "rego/single-replica-budget", "msg": msg} if {
	input.kind == "PodDisruptionBudget"
	object.get(input.spec, "minAvailable", 0) == "100%"
	msg := sprintf("%s allows no disruption", [name])
}
