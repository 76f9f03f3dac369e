package shimrpc

import (
	"encoding/binary"
	"errors"
	"io"
	"strconv"
)

// Socket is where the agent listens unless the configuration says otherwise.
const Socket = "/run/tsunagu/cni.sock"

// A frame is the magic, the length of what follows, and then fields, each preceded by its length; all lengths are 32 bits, little
// endian. Later versions may append fields: a reader takes the ones it knows, and a field that is absent is empty.
const (
	magic     = "TSU1"
	mostBytes = 16 << 20
)

// ErrFrame tells that the other side does not speak this protocol.
var ErrFrame = errors.New("not a frame of this protocol")

// Request is one call of the shim by the container runtime.
type Request struct {
	// Command, ContainerID, NetNS, IfName, Args and Path are the CNI_… environment (CNI spec section 2), as it was.
	Command, ContainerID, NetNS, IfName, Args, Path string
	// Config is the shim's standard input.
	Config []byte
	// Started is when the shim was started, in nanoseconds of CLOCK_BOOTTIME; 0 when unknown. It tells an ADD that was overtaken by
	// its DEL from a new one.
	Started int64
}

// Response is what the shim prints, and how it exits.
type Response struct {
	// Output is the result or the error in JSON, of the configuration's cniVersion.
	Output []byte
	// Failed tells that Output is an error.
	Failed bool
}

// Write sends a request.
func (r Request) Write(w io.Writer) error {
	return writeFrame(w, []byte(r.Command), []byte(r.ContainerID), []byte(r.NetNS), []byte(r.IfName), []byte(r.Args), []byte(r.Path),
		r.Config, strconv.AppendInt(nil, r.Started, 10))
}

// ReadRequest receives a request.
func ReadRequest(r io.Reader) (Request, error) {
	f, err := readFrame(r, 8)
	if err != nil {
		return Request{}, err
	}
	q := Request{Command: string(f[0]), ContainerID: string(f[1]), NetNS: string(f[2]), IfName: string(f[3]), Args: string(f[4]),
		Path: string(f[5]), Config: f[6]}
	if len(f[7]) > 0 {
		if q.Started, err = strconv.ParseInt(string(f[7]), 10, 64); err != nil {
			return Request{}, ErrFrame
		}
	}
	return q, nil
}

// Write sends a response.
func (r Response) Write(w io.Writer) error {
	status := []byte("ok")
	if r.Failed {
		status = []byte("error")
	}
	return writeFrame(w, status, r.Output)
}

// ReadResponse receives a response.
func ReadResponse(r io.Reader) (Response, error) {
	f, err := readFrame(r, 2)
	if err != nil {
		return Response{}, err
	}
	switch string(f[0]) {
	case "ok":
		return Response{Output: f[1]}, nil
	case "error":
		return Response{Output: f[1], Failed: true}, nil
	}
	return Response{}, ErrFrame
}

func writeFrame(w io.Writer, fields ...[]byte) error {
	size := 0
	for _, f := range fields {
		size += 4 + len(f)
	}
	buf := make([]byte, 0, len(magic)+4+size)
	buf = append(buf, magic...)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(size))
	for _, f := range fields {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(f)))
		buf = append(buf, f...)
	}
	_, err := w.Write(buf)
	return err
}

// readFrame gives at least n fields.
func readFrame(r io.Reader, n int) ([][]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[4:])
	if string(head[:4]) != magic || size > mostBytes {
		return nil, ErrFrame
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	var fields [][]byte
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, ErrFrame
		}
		l := binary.LittleEndian.Uint32(body)
		body = body[4:]
		if uint64(l) > uint64(len(body)) {
			return nil, ErrFrame
		}
		fields = append(fields, body[:l:l])
		body = body[l:]
	}
	for len(fields) < n {
		fields = append(fields, nil)
	}
	return fields, nil
}
