// Package speaker holds the sessions with BGP's peers, by GoBGP, and tells them routes.
//
// It owns the sessions and the set of routes that is told in them; it takes no route from anybody, and listens nowhere. What may be configured is
// of package bgp. Start at Open, then Speaker.Announce.
package speaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/tsunagu-net/tsunagu/bgp"
)

// Again is how long the speaker waits after a session ended or could not be made: a router that has restarted is to know the routes soon.
const again = 1 // second

// Speaker tells the peers the routes.
type Speaker struct {
	config bgp.Config
	log    *slog.Logger
	server *server.BgpServer
	stop   context.CancelFunc

	mu        sync.Mutex
	announced []netip.Prefix
	sessions  map[netip.Addr]*bgp.Session
}

// Open begins to speak to the peers, with no route to tell. The error names what the Config has wrong.
func Open(c bgp.Config, log *slog.Logger) (*Speaker, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Speaker{config: c, log: log, stop: stop, sessions: map[netip.Addr]*bgp.Session{}}
	level := &slog.LevelVar{}
	level.Set(slog.LevelError) // what a session does is said here
	s.server = server.NewBgpServer(server.LoggerOption(slog.New(leveled{log.Handler(), level}), level))
	go s.server.Serve()
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Speaker) start(ctx context.Context) error {
	// Nobody connects here: a router's own attempt would only collide with ours, and port 179 may be another program's.
	global := &api.Global{Asn: s.config.AS, RouterId: s.config.RouterID.String(), ListenPort: -1}
	if err := s.server.StartBgp(ctx, &api.StartBgpRequest{Global: global}); err != nil {
		return fmt.Errorf("start BGP of AS %d: %w", s.config.AS, err)
	}
	err := s.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{OnPeerUpdate: s.hear}, server.WatchPeer())
	if err != nil {
		return fmt.Errorf("watch BGP's sessions: %w", err)
	}
	for _, p := range s.config.Peers {
		s.mu.Lock()
		s.sessions[p.Address.Addr()] = &bgp.Session{Peer: p, State: "idle", Since: time.Now()}
		s.mu.Unlock()
		if err := s.server.AddPeer(ctx, &api.AddPeerRequest{Peer: s.peer(p)}); err != nil {
			return fmt.Errorf("add BGP peer %s: %w", p, err)
		}
	}
	go s.complain(ctx)
	return nil
}

func (s *Speaker) peer(p bgp.Peer) *api.Peer {
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if p.Address.Addr().Is6() {
		family.Afi = api.Family_AFI_IP6
	}
	hold := uint64(s.config.Hold / time.Second)
	n := &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: p.Address.Addr().String(), PeerAsn: p.AS, AuthPassword: s.config.Password},
		Transport: &api.Transport{RemotePort: uint32(p.Address.Port())},
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: hold, KeepaliveInterval: hold / 3, ConnectRetry: again, IdleHoldTimeAfterReset: again}},
		AfiSafis:  []*api.AfiSafi{{Config: &api.AfiSafiConfig{Family: family, Enabled: true}}},
		// Nothing is taken from anybody: the node's own routes are another's business.
		ApplyPolicy: &api.ApplyPolicy{ImportPolicy: &api.PolicyAssignment{DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT}},
	}
	if p.AS != s.config.AS && s.config.Hops > 1 {
		n.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(s.config.Hops)}
	}
	if s.config.BFD > 0 {
		every := uint32(s.config.BFD.Microseconds())
		n.Bfd = &api.BfdPeerConfig{Enabled: true, DesiredMinimumTxInterval: every, RequiredMinimumReceive: every, DetectionMultiplier: 3}
	}
	return n
}

// Announce makes the routes those that the peers are told, now and in sessions to come: what is new is told, what is not named any more is
// withdrawn. Told again is not sent again.
func (s *Speaker) Announce(routes ...netip.Prefix) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, r := range slices.Clone(s.announced) {
		if slices.Contains(routes, r) {
			continue
		}
		if err := s.server.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{path(r)}}); err != nil {
			errs = append(errs, fmt.Errorf("withdraw %s: %w", r, err))
			continue
		}
		s.announced = slices.DeleteFunc(s.announced, func(a netip.Prefix) bool { return a == r })
	}
	for _, r := range routes {
		if slices.Contains(s.announced, r) {
			continue
		}
		answers, err := s.server.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{path(r)}})
		for _, a := range answers {
			err = errors.Join(err, a.Error)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", r, err))
			continue
		}
		s.announced = append(s.announced, r)
	}
	return errors.Join(errs...)
}

// path is a route with the session's own address as its next hop.
func path(r netip.Prefix) *apiutil.Path {
	nlri, _ := packet.NewIPAddrPrefix(r) // fails for invalid prefixes only
	attrs := []packet.PathAttributeInterface{packet.NewPathAttributeOrigin(packet.BGP_ORIGIN_ATTR_TYPE_IGP)}
	family := packet.RF_IPv4_UC
	if r.Addr().Is4() {
		hop, _ := packet.NewPathAttributeNextHop(netip.IPv4Unspecified())
		attrs = append(attrs, hop)
	} else {
		family = packet.RF_IPv6_UC
		reach, _ := packet.NewPathAttributeMpReachNLRI(family, []packet.PathNLRI{{NLRI: nlri}}, netip.IPv6Unspecified())
		attrs = append(attrs, reach)
	}
	return &apiutil.Path{Family: family, Nlri: nlri, Attrs: attrs}
}

// Sessions are the peers, in the order of the Config.
func (s *Speaker) Sessions() []bgp.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]bgp.Session, len(s.config.Peers))
	for i, p := range s.config.Peers {
		all[i] = *s.sessions[p.Address.Addr()]
	}
	return all
}

// hear follows a session.
func (s *Speaker) hear(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
	if e.Type != apiutil.PEER_EVENT_STATE {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, ok := s.sessions[e.Peer.State.NeighborAddress]
	if !ok {
		return
	}
	was, why := now.Up, s.reason(*now, e.Peer.State)
	now.State = strings.ToLower(strings.TrimPrefix(e.Peer.State.SessionState.String(), "BGP_FSM_"))
	now.Up = e.Peer.State.SessionState == packet.BGP_FSM_ESTABLISHED
	switch {
	case now.Up && !was:
		now.Since, now.Why = time.Now(), ""
		s.log.Info("a BGP session is there", "peer", now.Peer.String())
	case was && !now.Up:
		now.Since, now.Why = time.Now(), why
		s.log.Warn("a BGP session has ended: that router leads nobody here", "peer", now.Peer.String(), "why", why)
	case !now.Up && why != "" && why != now.Why:
		now.Why = why
		s.log.Warn("a BGP session cannot be made", "peer", now.Peer.String(), "why", why)
	}
}

// reason is why a session ended or could not be made, and what to do where that is known.
func (s *Speaker) reason(at bgp.Session, p apiutil.PeerState) string {
	switch p.DisconnectReason {
	case api.PeerState_DISCONNECT_REASON_UNSPECIFIED, api.PeerState_DISCONNECT_REASON_IDLE_TIMER_EXPIRED: // about to try
		return ""
	case api.PeerState_DISCONNECT_REASON_BAD_PEER_AS:
		return fmt.Sprintf("the router is of another AS than %d", at.AS)
	case api.PeerState_DISCONNECT_REASON_INVALID_MSG:
		if !at.Up { // it was to be an OPEN
			return fmt.Sprintf("the router refuses the session: is AS %d what it expects of this node?", s.config.AS)
		}
	case api.PeerState_DISCONNECT_REASON_HOLD_TIMER_EXPIRED:
		return fmt.Sprintf("nothing was heard for %s", s.config.Hold)
	}
	text := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(p.DisconnectReason.String(), "DISCONNECT_REASON_"), "_", " "))
	if p.DisconnectMessage != "" {
		text += ": " + p.DisconnectMessage
	}
	return text
}

// unheard is the reason of a session that was never begun.
const unheard = "no connection: does the router know this node's address as a neighbour, and is the password the same?"

// complain says what was not made within the hold time, of which the protocol says nothing.
func (s *Speaker) complain(ctx context.Context) {
	tick := time.NewTicker(s.config.Hold)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		for _, now := range s.sessions {
			if !now.Up && now.Why == "" {
				now.Why = unheard
				s.log.Warn("a BGP session cannot be made", "peer", now.Peer.String(), "why", unheard)
			}
		}
		s.mu.Unlock()
	}
}

// Close withdraws all and ends the sessions.
func (s *Speaker) Close() error {
	err := s.Announce()
	s.stop()
	s.server.Stop()
	return err
}

// leveled keeps quiet below a level.
type leveled struct {
	slog.Handler
	least slog.Leveler
}

// Enabled is of slog.Handler.
func (l leveled) Enabled(_ context.Context, v slog.Level) bool { return v >= l.least.Level() }

// WithAttrs is of slog.Handler.
func (l leveled) WithAttrs(all []slog.Attr) slog.Handler {
	return leveled{l.Handler.WithAttrs(all), l.least}
}

// WithGroup is of slog.Handler.
func (l leveled) WithGroup(name string) slog.Handler {
	return leveled{l.Handler.WithGroup(name), l.least}
}
