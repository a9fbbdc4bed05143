// A Kubernetes API server with its etcd, in one process, for the integration tests.
//
//	kube -dir FOLDER [-port N] [-encrypt] [-- flags of kube-apiserver]
//
// The folder holds the whole state: started again on it, the same objects, keys and tokens are there. Prints
// "READY https://127.0.0.1:PORT KUBECONFIG" when /readyz answers; that kubeconfig is a cluster administrator's. Ends
// on SIGTERM, SIGINT, and when its standard input is closed, so that it does not outlive the tests.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "kube:", err)
		os.Exit(1)
	}
}

func random(count int) []byte {
	raw := make([]byte, count)
	_, err := rand.Read(raw)
	must(err)
	return raw
}

// kept returns the path of a file of the state folder; what makes its text is called only the first time.
func kept(folder, name string, text func() string) string {
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		must(os.WriteFile(path, []byte(text()), 0o600))
	} else {
		must(err)
	}
	return path
}

func signingKey() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	must(err)
	return string(pem)
}

func encryption() string {
	return `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: first, secret: ` + base64.StdEncoding.EncodeToString(random(32)) + `}]}
  - identity: {}
`
}

func kubeconfig(server, token string, authority []byte) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: kube, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: kube, context: {cluster: kube, user: admin}}]
current-context: kube
`, server, base64.StdEncoding.EncodeToString(authority), token)
}

// startEtcd opens no TCP port: clients come through a Unix socket, and there are no peers.
func startEtcd(folder string) (*embed.Etcd, string) {
	socket := url.URL{Scheme: "unix", Path: filepath.Join(folder, "etcd.sock")}
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	config.LogLevel = "fatal"      // It reports its own orderly end as errors.
	config.UnsafeNoFsync = true    // The state need not outlive the machine, only this process.
	wal.SegmentSizeBytes = 4 << 20 // The default allocates 64 MB, twice.
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{socket}, []url.URL{socket}
	config.ListenPeerUrls = nil
	etcd, err := embed.StartEtcd(config)
	must(err)
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		must(err)
	case <-time.After(time.Minute):
		must(errors.New("etcd was not ready within a minute"))
	}
	return etcd, socket.String()
}

func startAPIServer(ctx context.Context, listener *net.TCPListener, args []string) (<-chan error, []byte) {
	run := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range run.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	must(flags.Parse(args))
	must(run.GenericServerRunOptions.ComponentGlobalsRegistry.Set())
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	// Our own listener: a free port that nobody can take between choosing and using it.
	run.SecureServing.Listener, run.SecureServing.BindPort = listener, listener.Addr().(*net.TCPAddr).Port
	complete, err := run.Complete(ctx)
	must(err)
	must(utilerrors.NewAggregate(complete.Validate()))
	authority, err := os.ReadFile(run.SecureServing.ServerCert.CertKey.CertFile)
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, complete) }()
	return ended, authority
}

func awaitReady(ctx context.Context, config *rest.Config, ended <-chan error) {
	client := kubernetes.NewForConfigOrDie(config).Discovery().RESTClient()
	for {
		if _, err := client.Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
			return
		}
		select {
		case err := <-ended:
			must(fmt.Errorf("kube-apiserver ended: %w", err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func main() {
	dir := flag.String("dir", "", "folder for the state, made when absent")
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	encrypt := flag.Bool("encrypt", false, "encrypt Secrets at rest")
	flag.Parse()
	folder, err := filepath.Abs(*dir)
	must(err)
	must(os.MkdirAll(folder, 0o700))
	ctx, stop := context.WithCancel(genericapiserver.SetupSignalContext())
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()

	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: *port})
	must(err)
	server := "https://" + listener.Addr().String()
	tokens := kept(folder, "tokens.csv", func() string {
		return hex.EncodeToString(random(16)) + `,admin,admin,"system:masters"` + "\n"
	})
	row, err := os.ReadFile(tokens)
	must(err)
	token, _, _ := strings.Cut(string(row), ",")
	key := kept(folder, "sa.key", signingKey)
	etcd, etcdURL := startEtcd(folder)
	defer etcd.Close()

	args := []string{
		"--etcd-servers=" + etcdURL, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
		"--cert-dir=" + filepath.Join(folder, "pki"), "--token-auth-file=" + tokens,
		"--anonymous-auth=false", "--authorization-mode=RBAC",
		"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--disable-admission-plugins=ServiceAccount", // No controller here makes the default accounts that it asks for.
	}
	if *encrypt {
		args = append(args, "--encryption-provider-config="+kept(folder, "encryption.yaml", encryption))
	}
	ended, authority := startAPIServer(ctx, listener, append(args, flag.Args()...))
	awaitReady(ctx, &rest.Config{Host: server, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: authority}}, ended)
	config := filepath.Join(folder, "kubeconfig")
	must(os.WriteFile(config, []byte(kubeconfig(server, token, authority)), 0o600))
	fmt.Println("READY", server, config)
	must(<-ended)
}
