// Package controller carries out Networks and keeps the books of addresses.
//
// It publishes each Network as one NetworkAttachmentDefinition per permitted
// namespace and one IPPool per subnet, counts what pools hold, and releases
// what lost nodes left behind. It never hands out an address and is not needed
// for a Pod to start: agents do without it. It is a package of its own so that
// only the controller's binary carries controller-runtime.
//
// Deciding is pure: planNetwork, countPool and graveyard take what was read
// and return what to do. Start at New, then planNetwork.
package controller
