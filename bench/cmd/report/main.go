// Command report runs the benchmarks of this module, and of the cache in the
// root module, and prints a table of medians and the ratios that
// docs/performance.md is about. It is run in the folder of the module:
//
//	go run ./cmd/report
//	go run ./cmd/report -rounds 3 -only 'Request|Verify'
//
// Each round runs everything once, so that what slows the machine down for a
// while slows all of them down: a ratio is the median of the ratios of the rounds.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// group is a set of benchmarks that are run together.
type group struct {
	dir, bench string
	flags      []string
	rounds     int    // at most
	suffix     string // of their names
}

func groups(benchtime string) []group {
	short := []string{"-test.benchtime", benchtime}
	once := []string{"-test.benchtime", "1x"}
	all := math.MaxInt
	return []group{
		{".", "Request|VerifyFirst|VerifyAgain|Issue|CacheHit", short, all, ""},
		{"..", "TokenCache/hit", short, all, ""},
		{".", "Scaling", append([]string{"-test.cpu", "1"}, short...), all, "@1"},
		{".", "Scaling", append([]string{"-test.cpu", "2"}, short...), all, "@2"},
		{".", "Limiter/one", short, all, ""},
		{".", "Limiter/million", short, 3, ""},
		{".", "Revoked", short, 5, ""},
		{".", "Growth", short, 3, ""},
		{".", "CacheFlood|Sessions", once, 1, ""},
		{"..", "TokenCache/flood", once, 1, ""},
		{".", "LoginFlood", once, 3, ""},
	}
}

func main() {
	rounds := flag.Int("rounds", 10, "how often everything is run")
	benchtime := flag.String("benchtime", "200ms", "how long one benchmark runs in a round")
	only := flag.String("only", "", "run the groups that match alone")
	fastest := flag.Bool("fastest", false, "compare the fastest rounds, not the medians: for a machine that others use too")
	raw := flag.String("raw", "", "also write what the benchmarks print to a file, for benchstat")
	flag.Parse()
	if err := run(*rounds, *benchtime, *only, *raw, *fastest); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(rounds int, benchtime, only, raw string, fastest bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	todo := slices.DeleteFunc(groups(benchtime), func(g group) bool { return !match.MatchString(g.bench) })
	binaries, err := build(tmp, todo)
	if err != nil {
		return err
	}
	r := results{fastest: fastest}
	for round := range rounds {
		for _, g := range todo {
			if round >= g.rounds {
				continue
			}
			fmt.Fprintf(os.Stderr, "round %d of %d: %s%s\n", round+1, min(rounds, g.rounds), g.bench, g.suffix)
			out, err := g.run(binaries[g.dir])
			if err != nil {
				return err
			}
			r.read(out, round, g.suffix)
			if err := appendFile(raw, out); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%s, %s/%s, %d CPUs, %s\n\n", time.Now().Format("2006-01-02"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	r.table()
	r.ratios()
	return nil
}

// build compiles the test binary of each folder.
func build(tmp string, todo []group) (map[string]string, error) {
	binaries := map[string]string{}
	for _, g := range todo {
		if binaries[g.dir] != "" {
			continue
		}
		name, err := filepath.Abs(filepath.Join(tmp, fmt.Sprintf("bench%d.test", len(binaries))))
		if err != nil {
			return nil, err
		}
		cmd := exec.Command("go", "test", "-c", "-o", name, ".")
		cmd.Dir, cmd.Stderr, cmd.Env = g.dir, os.Stderr, append(os.Environ(), "GOWORK=off")
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("go test -c in %s: %w", g.dir, err)
		}
		binaries[g.dir] = name
	}
	return binaries, nil
}

func (g group) run(binary string) ([]byte, error) {
	cmd := exec.Command(binary, append([]string{"-test.run", "^$", "-test.timeout", "30m", "-test.bench", g.bench}, g.flags...)...)
	cmd.Dir, cmd.Stderr = g.dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", g.bench, err, out)
	}
	return out, nil
}

func appendFile(name string, data []byte) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return cmp.Or(err, f.Close())
}

// results has the figures of each benchmark, by unit and round.
type results struct {
	names   []string
	values  map[string]map[string][]float64
	fastest bool
}

var cpuSuffix = regexp.MustCompile(`-\d+$`)

func (r *results) read(out []byte, round int, suffix string) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if suffix != "@1" && runtime.NumCPU() > 1 { // Go adds the number of CPUs unless it is 1
			name = cpuSuffix.ReplaceAllString(name, "")
		}
		name = strings.ReplaceAll(name, "_", " ") + suffix
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				r.add(name, fields[i+1], round, v)
			}
		}
	}
}

func (r *results) add(name, unit string, round int, v float64) {
	if r.values == nil {
		r.values = map[string]map[string][]float64{}
	}
	if r.values[name] == nil {
		r.values[name] = map[string][]float64{}
		r.names = append(r.names, name)
	}
	list := r.values[name][unit]
	for len(list) <= round {
		list = append(list, math.NaN())
	}
	list[round] = v
	r.values[name][unit] = list
}

// median passes over rounds in which something was not run.
func median(list []float64) float64 {
	list = slices.DeleteFunc(slices.Clone(list), math.IsNaN)
	if len(list) == 0 {
		return math.NaN()
	}
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}

func (r *results) table() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "benchmark\tmedian\tfastest … slowest\tmore")
	for _, name := range r.names {
		units := r.values[name]
		ns := slices.DeleteFunc(slices.Clone(units["ns/op"]), math.IsNaN)
		fmt.Fprintf(w, "%s\t%.0f ns\t%.0f … %.0f\t%s\n", name, median(ns), slices.Min(ns), slices.Max(ns), more(units))
	}
	w.Flush()
	fmt.Println()
}

func more(units map[string][]float64) string {
	var parts []string
	for unit, list := range units {
		if unit != "ns/op" {
			parts = append(parts, fmt.Sprintf("%.5g %s", median(list), unit))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
