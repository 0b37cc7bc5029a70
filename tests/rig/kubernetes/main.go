// One binary for every part of the rig's cluster: the same code as the released programs, chosen by
// the first argument. They share almost all of their packages, so one link saves four.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // CronJobs may name a time zone, and a bare machine has no zone files

	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fatal("usage: kubernetes PROGRAM ARGUMENT...")
	}
	os.Args = os.Args[1:] // the programs name themselves, and kubectl finds its plugins, by os.Args
	switch program := os.Args[0]; program {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubectl":
		util.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
	case "service-account-key":
		writeServiceAccountKey(os.Args[1:])
	default:
		fatal("unknown program: " + program)
	}
}

// writeServiceAccountKey makes the key pair that the API server signs service account tokens with. It is here
// because a bare machine may have no other tool that makes one.
func writeServiceAccountKey(arguments []string) {
	if len(arguments) != 1 {
		fatal("usage: kubernetes service-account-key FILE")
	}
	pem, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err == nil {
		err = keyutil.WriteKey(arguments[0], pem)
	}
	if err != nil {
		fatal(err.Error())
	}
}

func fatal(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(2)
}
