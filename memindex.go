package jwtauth

// placeIndex finds rows of a store by the hash of a key. It is an open hash
// table of 8 bytes a slot, split so that growing copies little at a time. Two
// keys may have one hash: whoever looks says which row is meant.
type placeIndex struct{ parts [256]indexPart }

type indexPart struct {
	slots []indexSlot // never full
	used  int
}

// indexSlot is free while place is 0.
type indexSlot struct{ hash, place uint32 }

// find returns the slot of the row that is meant, or nil. It may be changed to
// another row with the same key, until the next add or remove.
func (x *placeIndex) find(hash uint32, meant func(place uint32) bool) *indexSlot {
	t := x.part(hash)
	for i := t.home(hash); len(t.slots) > 0 && t.slots[i].place != 0; i = t.next(i) {
		if t.slots[i].hash == hash && meant(t.slots[i].place) {
			return &t.slots[i]
		}
	}
	return nil
}

func (x *placeIndex) part(hash uint32) *indexPart { return &x.parts[hash%uint32(len(x.parts))] }

func (t *indexPart) home(hash uint32) int { return int(uint64(hash) * uint64(len(t.slots)) >> 32) }

func (t *indexPart) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

// add adds a row whose key is not there.
func (x *placeIndex) add(hash, place uint32) {
	t := x.part(hash)
	if (t.used+1)*4 > len(t.slots)*3 {
		old := t.slots
		t.slots = make([]indexSlot, 2*(t.used+4))
		for _, slot := range old {
			if slot.place != 0 {
				t.put(slot)
			}
		}
	}
	t.used++
	t.put(indexSlot{hash, place})
}

func (t *indexPart) put(slot indexSlot) {
	i := t.home(slot.hash)
	for t.slots[i].place != 0 {
		i = t.next(i)
	}
	t.slots[i] = slot
}

// remove removes a row. Those behind it move up, so that a search does not end
// at the gap.
func (x *placeIndex) remove(hash, place uint32) {
	t := x.part(hash)
	i := t.home(hash)
	for t.slots[i].place != place {
		i = t.next(i)
	}
	t.used--
	for j := t.next(i); t.slots[j].place != 0; j = t.next(j) {
		// It may move unless its home lies behind the gap, up to itself.
		home := t.home(t.slots[j].hash)
		if between := i < home && home <= j || j < i && (i < home || home <= j); !between {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = indexSlot{}
}
