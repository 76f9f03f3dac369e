package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/node/vsphere"
)

// vcenter is the folder of a mounted Secret that says which vCenter there is
// and who asks it: the files server, username and password, and ca.crt or
// thumbprint.
type vcenter struct {
	dir    string
	read   vsphere.Login
	center *vsphere.Center
}

// open gives the vCenter that the folder names now. The Secret may come, go and
// change while the controller runs.
func (v *vcenter) open() (*vsphere.Center, error) {
	login, err := v.login()
	if err != nil {
		return nil, err
	}
	if v.center != nil && login.Server == v.read.Server && login.User == v.read.User && login.Password == v.read.Password &&
		string(login.CA) == string(v.read.CA) && login.Thumbprint == v.read.Thumbprint {
		return v.center, nil
	}
	center, err := vsphere.New(login)
	if err != nil {
		return nil, err
	}
	v.read, v.center = login, center
	return center, nil
}

func (v *vcenter) login() (l vsphere.Login, err error) {
	text := func(name string) string {
		b, e := os.ReadFile(filepath.Join(v.dir, name))
		if e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		return strings.TrimSpace(string(b))
	}
	l = vsphere.Login{Server: text("server"), User: text("username"), Password: text("password"), CA: []byte(text("ca.crt")), Thumbprint: text("thumbprint")}
	switch {
	case err != nil:
		return l, fmt.Errorf("read the login of the vCenter: %w", err)
	case l.Server == "":
		return l, &vsphere.Refusal{Reason: vsphere.NoLogin, Message: "the controller knows no vCenter",
			Fix: "create the Secret tsunagu-vsphere in its namespace, with server, username, password and ca.crt or thumbprint (docs/vsphere.md)"}
	}
	return l, nil
}
