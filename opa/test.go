package main

import (
	"cmp"
	"context"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

type testCase struct {
	Package    string `json:"package"`
	Name       string `json:"name"`
	File       string `json:"file"`
	Row        int    `json:"row"`
	Column     int    `json:"column"`
	Outcome    string `json:"outcome"`
	DurationNs int64  `json:"durationNs"`
	Output     string `json:"output"`
	Message    string `json:"message,omitempty"`
	// FailedAt is the expression that made a failing test untrue.
	FailedAt *failedAt `json:"failedAt,omitempty"`
}

type testResult struct {
	Passed   bool       `json:"passed"`
	Cases    []testCase `json:"cases"`
	Coverage *coverage  `json:"coverage,omitempty"`
}

const defaultTestTimeout = 5 * time.Second

// testPolicy runs the tests one after the other: a module has one thread, and results should not depend on its turns.
func testPolicy(c call) (any, error) {
	if _, err := regexp.Compile(c.Run); err != nil {
		return nil, faults{{Code: "invalid_pattern", Message: err.Error()}}
	}
	parsed, err := parse(c.Modules)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	s := store(c.Data)
	compiler, done, err := newCompiler(c.Data)
	if err != nil {
		return nil, err
	}
	defer done()
	txn, err := s.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Abort(ctx, txn)

	timeout := defaultTestTimeout
	if c.TimeoutMs > 0 {
		timeout = time.Duration(c.TimeoutMs) * time.Millisecond
	}
	covered := cover.New()
	failed := newFailing()
	results, err := tester.NewRunner().
		SetParallel(1).
		SetCompiler(compiler.WithEnablePrintStatements(true)).
		SetStore(s).
		SetModules(parsed).
		SetTimeout(timeout).
		SetCoverageQueryTracer(&yielding{cover: covered, record: c.Coverage, failing: failed}).
		Filter(c.Run).
		RunTests(ctx, txn)
	if err != nil {
		return nil, err
	}
	// The next test runs while a result is read, on a thread of its own where there are threads.
	var all []*tester.Result
	for r := range results {
		all = append(all, r)
	}
	out := testResult{Passed: true, Cases: []testCase{}}
	for _, r := range all {
		one := describe(r)
		if one.Outcome == "fail" {
			one.FailedAt = failed.within(parsed[one.File], r.Location)
		}
		out.Passed = out.Passed && (one.Outcome == "pass" || one.Outcome == "skip")
		out.Cases = append(out.Cases, one)
	}
	slices.SortFunc(out.Cases, func(a, b testCase) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Name, b.Name))
	})
	if c.Coverage {
		out.Coverage = coverageOf(covered, parsed)
	}
	return out, nil
}

func describe(r *tester.Result) testCase {
	one := testCase{
		Package:    r.Package,
		Name:       r.Name,
		Outcome:    "pass",
		DurationNs: r.Duration.Nanoseconds(),
		Output:     string(r.Output),
	}
	if r.Location != nil {
		one.File, one.Row, one.Column = r.Location.File, r.Location.Row, r.Location.Col
	}
	switch {
	case r.Skip:
		one.Outcome = "skip"
	case r.Error != nil:
		one.Outcome, one.Message = "error", r.Error.Error()
		if topdown.IsCancel(r.Error) {
			one.Message = "the test took longer than its limit"
		}
	case r.Fail:
		one.Outcome, one.Message = "fail", "the test is not true"
		if failed := failedCases("", r.SubResults); len(failed) > 0 {
			one.Message = "these cases are not true: " + strings.Join(failed, ", ")
		}
	}
	return one
}

// failedCases names the failing leaves of a test with cases (`test_x[name] if ...`).
func failedCases(prefix string, results tester.SubResultMap) []string {
	var failed []string
	for name, sub := range results {
		switch {
		case !sub.Fail:
		case len(sub.SubResults) > 0:
			failed = append(failed, failedCases(prefix+name+"/", sub.SubResults)...)
		default:
			failed = append(failed, prefix+name)
		}
	}
	slices.Sort(failed)
	return failed
}

// yielding records coverage and gives up the thread now and then. WebAssembly has one thread and no preemption, so a test
// that never yields would never see its own timeout.
type yielding struct {
	cover   *cover.Cover
	failing *failing
	record  bool
	events  uint32
}

func (y *yielding) Enabled() bool {
	return true
}

func (y *yielding) Config() topdown.TraceConfig {
	return y.cover.Config()
}

func (y *yielding) TraceEvent(event topdown.Event) {
	if y.events++; y.events%1024 == 0 {
		runtime.Gosched()
	}
	y.failing.note(event)
	if y.record {
		y.cover.TraceEvent(event)
	}
}

type rowRange struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

type fileCoverage struct {
	Covered         []rowRange `json:"covered"`
	NotCovered      []rowRange `json:"notCovered"`
	CoveredLines    int        `json:"coveredLines"`
	NotCoveredLines int        `json:"notCoveredLines"`
	Percent         float64    `json:"percent"`
}

type coverage struct {
	Files   map[string]fileCoverage `json:"files"`
	Percent float64                 `json:"percent"`
}

// coverageOf leaves the tests themselves out: their lines would raise the share of what is covered.
func coverageOf(covered *cover.Cover, parsed map[string]*ast.Module) *coverage {
	out := &coverage{Files: map[string]fileCoverage{}, Percent: 100}
	var hit, missed int
	for file, report := range covered.Report(parsed).Files {
		if isTest(file) {
			continue
		}
		one := fileCoverage{
			Covered:         rows(report.Covered),
			NotCovered:      rows(report.NotCovered),
			CoveredLines:    report.CoveredLines,
			NotCoveredLines: report.NotCoveredLines,
			Percent:         percent(report.CoveredLines, report.NotCoveredLines),
		}
		hit, missed = hit+one.CoveredLines, missed+one.NotCoveredLines
		out.Files[file] = one
	}
	out.Percent = percent(hit, missed)
	return out
}

func percent(hit, missed int) float64 {
	if hit+missed == 0 {
		return 100
	}
	return 100 * float64(hit) / float64(hit+missed)
}

// rows drops the columns: several expressions of one row are one range.
func rows(ranges []cover.Range) []rowRange {
	out := make([]rowRange, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, rowRange{r.Start.Row, r.End.Row})
	}
	return slices.Compact(out)
}
