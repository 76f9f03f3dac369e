package link

import "testing"

// FuzzRead: whatever bytes come, reading them ends without a panic.
func FuzzRead(f *testing.F) {
	var m message
	m.info(3, 1, 1)
	End{Name: "eth0", MTU: 1500, MAC: []byte{2, 0, 0, 0, 0, 1}}.attrs(&m)
	f.Add([]byte(m))
	f.Add([]byte(Route{}.message(false)))
	f.Fuzz(func(_ *testing.T, b []byte) {
		readLink(b)
		readRoute(b)
		readPortVLANs(b)
		readFunctions(b)
		readAddress(b)
		extendedAck(header{flags: 0x200}, b)
		extendedAck(header{flags: 0x300}, b)
	})
}
