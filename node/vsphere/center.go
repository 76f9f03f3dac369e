package vsphere

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Login says which vCenter, and who asks it.
type Login struct {
	// Server is the vCenter's host name or address, with a port if it is not 443.
	Server         string
	User, Password string
	// CA are certificates in PEM that the vCenter's is signed by, empty for those that the system trusts.
	CA []byte
	// Thumbprint is the SHA-256 or SHA-1 of the vCenter's certificate, in hexadecimal with colons, instead of CA.
	Thumbprint string
}

// Center is a vCenter. Its methods may be called at the same time by many; the session begins with the first call, and again when it ended.
type Center struct {
	login  Login
	server *url.URL

	mu     sync.Mutex
	client *vim25.Client
}

// answering is how long the vCenter may take for one call; changes of a machine wait for their task, as long as the caller does.
const answering = 30 * time.Second

// New checks a login's form; nothing is sent.
func New(l Login) (*Center, error) {
	server, err := url.Parse("https://" + l.Server + "/sdk")
	if err != nil || server.Host == "" || l.Server != server.Host {
		return nil, &Refusal{Reason: NoLogin, Message: fmt.Sprintf("server %q is no host name", l.Server), Fix: "write it as vcenter.example.com or vcenter.example.com:8443"}
	}
	switch {
	case l.User == "" || l.Password == "":
		return nil, &Refusal{Reason: NoLogin, Message: "user and password of vCenter " + l.Server + " are not both there", Fix: "put both into the Secret"}
	case len(l.CA) > 0 && l.Thumbprint != "":
		return nil, &Refusal{Reason: NoLogin, Message: "both a CA and a thumbprint of vCenter " + l.Server + " are given", Fix: "give one of the two"}
	}
	if len(l.CA) > 0 {
		block, _ := pem.Decode(l.CA)
		if block == nil {
			return nil, &Refusal{Reason: NoLogin, Message: "the CA of vCenter " + l.Server + " is not PEM", Fix: "begin it with -----BEGIN CERTIFICATE-----"}
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, &Refusal{Reason: NoLogin, Message: "the CA of vCenter " + l.Server + " cannot be read", Cause: err}
		}
	}
	return &Center{login: l, server: server}, nil
}

// do runs one question with a session, and once more with a new one if the old one had ended.
func (c *Center) do(ctx context.Context, doing string, ask func(context.Context, *vim25.Client) error) error {
	for try := 0; ; try++ {
		client, err := c.session(ctx)
		if err != nil {
			return translate("log in to vCenter "+c.login.Server, err)
		}
		err = ask(ctx, client)
		if try == 0 && fault.Is(err, &types.NotAuthenticated{}) {
			c.forget(client)
			continue
		}
		return translate(doing, err)
	}
}

func (c *Center) session(ctx context.Context) (*vim25.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answering)
	defer cancel()
	transport := soap.NewClient(c.server, false)
	transport.UserAgent = "tsunagu"
	if len(c.login.CA) > 0 {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(c.login.CA)
		transport.DefaultTransport().TLSClientConfig.RootCAs = pool
	}
	if c.login.Thumbprint != "" {
		transport.SetThumbprint(c.server.Host, c.login.Thumbprint)
	}
	client, err := vim25.NewClient(ctx, transport)
	if err != nil {
		return nil, err
	}
	if err := session.NewManager(client).Login(ctx, url.UserPassword(c.login.User, c.login.Password)); err != nil {
		return nil, err
	}
	c.client = client
	return client, nil
}

// forget drops a session that ended, unless somebody did already.
func (c *Center) forget(client *vim25.Client) {
	c.mu.Lock()
	if c.client == client {
		c.client = nil
	}
	c.mu.Unlock()
}

// Close ends the session.
func (c *Center) Close(ctx context.Context) error {
	c.mu.Lock()
	client := c.client
	c.client = nil
	c.mu.Unlock()
	if client == nil {
		return nil
	}
	return translate("log out of vCenter "+c.login.Server, session.NewManager(client).Logout(ctx))
}
