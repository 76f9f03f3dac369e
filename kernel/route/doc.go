// Package route makes and reads the routes and the device of the overlay, tells about changes of links, addresses and routes, and
// sets network sysctls.
//
// It owns lightweight tunnels: routes that carry the tunnel's far end themselves (ip_tunnel, LWTUNNEL_ENCAP_IP and _IP6), and the
// external VXLAN device they leave by. One change is one message, which the kernel carries out whole or not at all; lists are whole or
// an error. It does not know nodes; overlay decides what is wanted. Interfaces in general are kernel/link's.
//
// Start at Conn and Route.
package route
