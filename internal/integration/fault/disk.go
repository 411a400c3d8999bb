package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Disk is a small file system in memory, which can be filled. To the lab it is
// one more thing that is killed and started: for a moment nobody can write.
type Disk struct{ dir string }

// NewDisk mounts one of so many MiB on a directory. That needs root.
func NewDisk(dir string, mib int) (*Disk, error) {
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm,mode=0700", mib), "jwtauth-fault", dir).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("mount: %w: %s", err, out)
	}
	return &Disk{dir}, nil
}

func (d *Disk) filler() string { return filepath.Join(d.dir, "filler") }

// Kill fills the disk to the last byte.
func (d *Disk) Kill() error {
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		switch _, err := f.Write(make([]byte, size)); {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			return err
		}
	}
	return nil
}

// Start makes room again after a moment.
func (d *Disk) Start(ctx context.Context) error {
	pause(ctx, 500*time.Millisecond)
	return os.Remove(d.filler())
}

// Close takes the disk away, whoever still looks at it.
func (d *Disk) Close() error { return exec.Command("umount", "-l", d.dir).Run() }
