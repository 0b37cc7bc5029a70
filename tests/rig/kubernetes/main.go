// One binary for every part of the rig's cluster: the same code as the released programs, chosen by
// the first argument. They share almost all of their packages, so one link saves four.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // CronJobs may name a time zone, and a bare machine has no zone files

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
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

// Built on demand: each constructor registers flags and feature gates of its own.
var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          scheduler.NewSchedulerCommand,
}

func main() {
	if len(os.Args) < 2 {
		fatal("usage: kubernetes etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl ARGUMENT...")
	}
	program, arguments := os.Args[1], os.Args[1:]
	switch program {
	case "etcd":
		etcdmain.Main(arguments)
	case "kubectl":
		os.Args = arguments // kubectl looks for its plugins by os.Args
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	default:
		build, known := programs[program]
		if !known {
			fatal("unknown program: " + program)
		}
		os.Args = arguments // the servers print their own name in usage and errors
		os.Exit(cli.Run(build()))
	}
}

func fatal(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(2)
}
