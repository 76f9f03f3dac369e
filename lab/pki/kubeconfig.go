package pki

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// WriteKubeconfig stores a kubeconfig with everything inside, so that it can be
// copied anywhere.
func WriteKubeconfig(path, cluster, server, user string, ca Authority, client Pair) error {
	key, err := client.KeyPEM()
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[4]s
users:
- name: %[3]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[3]s@%[1]s
  context:
    cluster: %[1]s
    user: %[3]s
current-context: %[3]s@%[1]s
`, cluster, server, user, b64(ca.CertPEM()), b64(client.CertPEM()), b64(key))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}
