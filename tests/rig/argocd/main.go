// Argo CD's two programs that bring a commit to a cluster, and the cache they speak through. No API server
// and no UI: Countersign drives Argo CD by its custom resources alone.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alicebob/miniredis/v2"
	"k8s.io/klog/v2"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/argoproj/argo-cd/v3/util/log"
)

func main() {
	if len(os.Args) < 2 {
		fatal("usage: argocd argocd-application-controller|argocd-repo-server|redis ARGUMENT...")
	}
	klog.SetLogger(log.NewLogrusLogger(log.NewWithCurrentConfig()))
	program := os.Args[1]
	os.Args = os.Args[1:]
	switch program {
	case "argocd-application-controller":
		run(controller.NewCommand().Execute())
	case "argocd-repo-server":
		run(reposerver.NewCommand().Execute())
	case "redis":
		run(redis(os.Args[1:]))
	default:
		fatal("unknown program: " + program)
	}
}

// redis serves Argo CD's cache from memory. Argo CD keeps nothing there that it cannot compute again.
func redis(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("usage: argocd redis HOST:PORT")
	}
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(arguments[0]); err != nil {
		return err
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return nil
}

func run(err error) {
	if err != nil {
		fatal(err.Error())
	}
}

func fatal(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
