// Command image builds tsunagu's container image without Docker and without a
// registry: static binaries in one layer, written as an archive that containerd
// (ctr images import), Podman and Docker (docker load) all read. The same
// source, Go version and version string give the same bytes.
//
//	go run -C tools ./image -root .. -version v0.1.0 -out ../dist/tsunagu-image.tar
//
// It owns what is in the image and how the archive is written; what the
// binaries do is none of its business. Start at run.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

func main() {
	var b build
	flag.StringVar(&b.root, "root", "..", "root of the source tree")
	flag.StringVar(&b.version, "version", "dev", "version compiled into the binaries")
	flag.StringVar(&b.arch, "arch", runtime.GOARCH, "GOARCH of the image")
	out := flag.String("out", "../dist/tsunagu-image.tar", "archive to write")
	manifest := flag.String("manifest", "", "manifests that say the image's name (default deploy/tsunagu.yaml under -root)")
	flag.Parse()
	if *manifest == "" {
		*manifest = filepath.Join(b.root, "deploy", "tsunagu.yaml")
	}
	if err := run(b, *manifest, *out); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(b build, manifest, out string) error {
	name, err := imageName(manifest)
	if err != nil {
		return err
	}
	when, err := epoch(os.Getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	files, err := b.files()
	if err != nil {
		return err
	}
	img, err := image(files, b.arch, b.version, when)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	digest, err := writeArchive(out, img, name, when)
	if err != nil {
		return err
	}
	fmt.Printf("%s  %s  %s\n", out, name, digest)
	return nil
}

// epoch parses SOURCE_DATE_EPOCH, seconds since 1970 (reproducible-builds.org);
// without it every timestamp is 1970.
func epoch(s string) (time.Time, error) {
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	sec, err := strconv.ParseInt(s, 10, 64)
	if err != nil || sec < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds since 1970", s)
	}
	return time.Unix(sec, 0).UTC(), nil
}
