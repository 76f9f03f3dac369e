package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what objects were told last, so that an Event is written when there is news.
type memory struct {
	mu   sync.Mutex
	said map[types.UID]told
}

func newMemory() *memory { return &memory{said: map[types.UID]told{}} }

// told is what an object was told last.
type told struct {
	text string
	at   time.Time
}

// repeat is when it is told again what it knows.
const repeat = 10 * time.Minute

// news tells whether a text is worth saying, and remembers it.
func (m *memory) news(uid types.UID, text string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := m.said[uid]; last.text == text && now.Sub(last.at) < repeat {
		return false
	}
	m.said[uid] = told{text, now}
	return true
}

// forget drops what was said long ago: those that wait hear it again.
func (m *memory) forget(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for uid, last := range m.said {
		if now.Sub(last.at) > repeat {
			delete(m.said, uid)
		}
	}
}
