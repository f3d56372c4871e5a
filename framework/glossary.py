"""The words of the results: every name an estimator may print, with its meaning.

The documentation's glossary is generated from here, and the conformance kit refuses
names that are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Word:
    """A name, its meaning in one sentence, and its unit where it has one."""

    meaning: str
    unit: str = ""


COLUMNS: Mapping[str, Word] = MappingProxyType(
    {
        "equation": Word("which equation the coefficient belongs to; `main` if one"),
        "estimand": Word("the quantity estimated, one of the estimands below"),
        "term": Word("the column (the user's name) the coefficient belongs to"),
        "estimate": Word("point estimate", "outcome units per unit of the term"),
        "std_error": Word("standard error", "as the estimate"),
        "statistic": Word("estimate / standard error (t or z)"),
        "p_value": Word("two-sided p value of the null that the estimand is zero"),
        "conf_low": Word("lower end of the confidence interval", "as the estimate"),
        "conf_high": Word("upper end of the confidence interval", "as the estimate"),
        "event_time": Word("periods since the first treated period", "periods"),
        "cohort": Word("first treated period of the units"),
        "period": Word("calendar period"),
        "group": Word("group of units the estimate belongs to"),
        "level": Word("level of a categorical treatment"),
        "order": Word("lead (negative) or lag (positive) of the treatment", "periods"),
        "quantile": Word("quantile of the outcome distribution"),
        "dose": Word("dose at which the effect stands", "as the treatment"),
        "variable": Word("variable described by a descriptive row"),
    }
)

ESTIMANDS: Mapping[str, Word] = MappingProxyType(
    {
        "att": Word("average effect of treatment on the treated"),
        "coefficient": Word("partial linear coefficient of a term"),
        "interaction": Word("difference in the effect per unit of the moderator"),
        "by_event_time": Word("effect by periods since first treatment"),
        "by_cohort": Word("effect by first treated period"),
        "by_period": Word("effect by calendar period"),
        "by_group": Word("effect by group of units"),
        "lead": Word("coefficient of the treatment k periods before it starts"),
        "lag": Word("coefficient of the treatment k periods after"),
        "late": Word("local average treatment effect of the compliers"),
        "ate": Word("average treatment effect"),
        "qte": Word(
            "effect on a quantile: quantile of the outcome had all been treated, less "
            "had none"
        ),
        "local_qte": Word("the same among compliers"),
        "tail_effect": Word("effect on the mean of the outcome beyond a quantile"),
        "direct": Word(
            "effect of a unit's own covariate on its own outcome; in mediation the part "
            "that does not go through the mediators"
        ),
        "indirect": Word(
            "effect of the other units' covariate (spillover); in mediation the part "
            "that goes through the mediators"
        ),
        "total": Word("direct plus indirect effect"),
        "explained": Word(
            "part of the change of a coefficient, short less long regression, that "
            "covariates carry"
        ),
        "ame": Word("average marginal effect on the probability or mean"),
        "semi_elasticity": Word("proportional change of the outcome per unit"),
        "acrt": Word(
            "average causal response: mean over the treated of the slope of the effect "
            "in the dose",
            "outcome units per unit of the dose",
        ),
        "att_dose": Word("effect on the treated at a dose"),
        "slope_dose": Word(
            "derivative of the dose response", "outcome units per unit of the dose"
        ),
        "dose_response": Word(
            "effect as a function of the dose: `att_dose` all along the doses that occur"
        ),
        "morans_i": Word(
            "Moran's I: correlation of a column with its spatial lag; judged against "
            "its mean without spatial correlation, -1 / (n - 1)"
        ),
        "gearys_c": Word(
            "Geary's C: squared differences of neighbours over the variance; 1 without "
            "spatial correlation"
        ),
        "getis_ord_g": Word("Getis and Ord's G: concentration of high values"),
        "description": Word("descriptive statistic; no effect is estimated"),
    }
)

SCALARS: Mapping[str, Word] = MappingProxyType(
    {
        "n_obs": Word("rows used in the estimation"),
        "n_seen": Word("rows whose outcome is observed"),
        "n_units": Word("units used"),
        "n_periods": Word("periods used"),
        "n_treated_units": Word("units treated at least once in the sample"),
        "n_treated_obs": Word("rows with treatment on"),
        "n_clusters": Word("clusters (the smaller count if two-way)"),
        "n_clusters_first": Word("clusters of the first dimension"),
        "n_clusters_second": Word("clusters of the second dimension"),
        "effective_clusters": Word(
            "effective number of clusters of the treatment coefficient (Carter, "
            "Schnepel and Steigerwald 2017)"
        ),
        "n_bootstrap": Word(
            "draws of the wild bootstrap behind p values and intervals of the effects"
        ),
        "n_singletons": Word("singleton fixed-effect rows"),
        "df_t": Word("degrees of freedom of the t distribution (inf = normal)"),
        "df_model": Word("parameters counted in the small-sample factor"),
        "r2": Word("share of variance explained, fixed effects included"),
        "r2_adjusted": Word("r2 adjusted for all parameters"),
        "r2_within": Word("share of the within variance explained"),
        "squared_correlation": Word(
            "squared correlation of the outcome and what the covariates predict, "
            "neighbours included, both without fixed effects"
        ),
        "rmse": Word("root mean squared residual", "outcome units"),
        "outcome_mean": Word("mean of the outcome in the sample", "outcome units"),
        "outcome_mean_before": Word(
            "mean outcome of treated units before treatment", "outcome units"
        ),
        "rmse_before": Word(
            "root mean squared gap between the treated and their synthetic control "
            "before treatment",
            "outcome units",
        ),
        "effective_controls": Word(
            "one over the sum of squared control weights, the smallest over cohorts"
        ),
        "treatment_residual_share": Word(
            "share of the treatment's variance left after controls and fixed effects"
        ),
        "std_error_resampled": Word(
            "standard deviation of the estimate over resamples", "as the estimate"
        ),
        "std_error_as_given": Word(
            "standard deviation of the estimate over the same resamples of the data as "
            "prepared, their steps not redone: what it lacks is what the steps add",
            "as the estimate",
        ),
        "n_left_out": Word("members of a step left out one at a time"),
        "left_out_low": Word(
            "smallest estimate without one member of a step", "as the estimate"
        ),
        "left_out_high": Word(
            "largest estimate without one member of a step", "as the estimate"
        ),
        "mde": Word("minimum detectable effect, 80% power at 5%", "as the estimate"),
        "two_way_estimate": Word(
            "two-way fixed effects coefficient", "as the estimate"
        ),
        "log_likelihood": Word("log-likelihood at the maximum"),
        "aic": Word("Akaike's criterion, 2 parameters - 2 log-likelihood"),
        "bic": Word("Schwarz's criterion, ln(n_obs) parameters - 2 log-likelihood"),
        "sigma2": Word("variance of the errors", "outcome units squared"),
        "lagged_treatment_residual_share": Word(
            "share of the variance of the treatment's spatial lag left after the other "
            "columns and fixed effects"
        ),
        "n_comparisons": Word("2x2 comparisons of cohorts"),
        "weight_forbidden": Word(
            "weight of the comparisons whose control group is treated already"
        ),
        "weight_treated_vs_never": Word("weight of treated vs never treated"),
        "weight_earlier_vs_later": Word("weight of earlier vs later treated"),
        "weight_later_vs_earlier": Word("weight of later vs earlier treated"),
        "weight_later_vs_always": Word("weight of later vs always treated"),
        "weight_timing": Word("weight of earlier and later treated, both directions"),
        "weight_always_vs_never": Word("weight of always vs never treated"),
        "weight_within": Word("weight of the variation of controls within cohorts"),
        "estimate_timing": Word(
            "weighted mean of earlier and later treated, both directions",
            "as the estimate",
        ),
        "estimate_always_vs_never": Word("always vs never treated", "as the estimate"),
        "estimate_within": Word(
            "estimate from the variation of controls within cohorts", "as the estimate"
        ),
        "estimate_treated_vs_never": Word(
            "weighted mean of treated vs never treated", "as the estimate"
        ),
        "estimate_earlier_vs_later": Word(
            "weighted mean of earlier vs later treated", "as the estimate"
        ),
        "estimate_later_vs_earlier": Word(
            "weighted mean of later vs earlier treated", "as the estimate"
        ),
        "estimate_later_vs_always": Word(
            "weighted mean of later vs always treated", "as the estimate"
        ),
        "n_features": Word("columns that learners see, dummies and means included"),
        "n_folds": Word("parts of the sample left out in turn"),
        "n_repetitions": Word("splits of the sample into folds"),
        "std_error_sampling": Word(
            "median over splits of the standard error of one split", "as the estimate"
        ),
        "split_error": Word(
            "Monte Carlo standard error of the median over splits", "as the estimate"
        ),
        "split_low": Word("smallest estimate over splits", "as the estimate"),
        "split_high": Word("largest estimate over splits", "as the estimate"),
        "std_error_resplit": Word(
            "standard deviation of the estimate over redrawn folds", "as the estimate"
        ),
        "nuisance_r2_outcome": Word(
            "out-of-fold R2 of the outcome's learner, mean over folds and splits"
        ),
        "share_trimmed": Word("share of rows with a trimmed propensity"),
        "propensity_low": Word("smallest propensity before trimming"),
        "propensity_high": Word("largest propensity before trimming"),
        "share_trimmed_mediators": Word(
            "share of rows whose probability of treatment given the mediators is trimmed"
        ),
        "mediated_share": Word("indirect effect as a share of the total"),
        "robustness_value": Word(
            "share of the residual variance of outcome and treatment that an omitted "
            "confounder needs to bring the estimate to zero"
        ),
        "robustness_value_interval": Word(
            "the same for the end of the confidence interval; 0 if it holds zero"
        ),
        "weight_negative": Word(
            "sum of the negative weights on effects by cohort and period, as a positive "
            "number"
        ),
        "weight_already_treated": Word(
            "share of the weight of comparison rows that is on rows treated already"
        ),
        "cohort_att": Word(
            "mean effect by cohort and period that is estimated beside one coefficient "
            "over staggered adoption"
        ),
        "cohort_att_std_error": Word("its standard error"),
        "cohort_att_gap": Word("the coefficient less that mean effect"),
        "cohort_att_gap_std_error": Word(
            "standard error of that difference, from both influence functions by cluster"
        ),
        "first_stage_f": Word(
            "F statistic of the instruments in the first stage, with the covariance of "
            "the estimation"
        ),
        "effective_f": Word(
            "effective first-stage F of one treatment (Montiel Olea and Pflueger 2013); "
            "with one instrument the first-stage F"
        ),
        "critical_effective_f": Word(
            "what effective_f exceeds with 95% confidence if the bias is at most a tenth "
            "of the worst"
        ),
        "kleibergen_paap_f": Word(
            "rank Wald F of the first stages, robust as the estimation (Kleibergen and "
            "Paap 2006)"
        ),
        "cragg_donald_f": Word(
            "rank Wald F of the first stages under homoskedastic errors (Cragg and "
            "Donald 1993)"
        ),
        "critical_cragg_donald_f": Word(
            "what cragg_donald_f exceeds if a nominal 5% test rejects a true null at most "
            "10% of the time, homoskedastic errors (Stock and Yogo 2005)"
        ),
        "plausible_low": Word(
            "lower end of the union of intervals over direct effects of the instrument",
            "as the estimate",
        ),
        "plausible_high": Word("its upper end", "as the estimate"),
        "direct_effect_breakdown": Word(
            "smallest direct effect of the instrument, in size, with which the interval "
            "holds zero; 0 if it does without one",
            "outcome units per unit of the instrument",
        ),
        "tf_critical": Word(
            "critical value of |t| at 5%, adjusted for the first-stage F (Lee et al. "
            "2022)"
        ),
        "std_error_tf": Word(
            "standard error that makes the 5% test with 1.96 valid at this first-stage F",
            "as the estimate",
        ),
        "ols_estimate": Word(
            "least-squares coefficient of the treatment on the same sample",
            "as the estimate",
        ),
        "ols_std_error": Word("its standard error", "as the estimate"),
        "sensitivity_rho": Word(
            "correlation of the errors of mediator and outcome that would make the "
            "indirect effect zero"
        ),
        "sensitivity_r2": Word(
            "its square: product of the shares of both residual variances that a "
            "confounder of mediator and outcome has to explain"
        ),
        "n_factors": Word("common factors beside unit and period effects"),
        "penalty": Word(
            "penalty on the interactive part, as a share of the largest singular value "
            "of the two-way residuals; 1 leaves none of it"
        ),
        "residual_sd": Word(
            "standard deviation of the residuals of untreated rows", "outcome units"
        ),
        "n_bins": Word("bins of the outcome or of the moderator"),
        "moderator_l_kurtosis": Word(
            "L-kurtosis of the moderator: 0 if uniform, 0.123 if normal, more with "
            "heavy tails"
        ),
        "implied_share_low": Word("smallest implied share of a bin"),
        "leave_out_low": Word(
            "smallest estimate with one group left out", "as the estimate"
        ),
        "leave_out_high": Word(
            "largest estimate with one group left out", "as the estimate"
        ),
        "leave_out_shift": Word(
            "largest shift of the estimate by leaving one group out, in standard errors "
            "of the full estimate"
        ),
        "detectable_slope_50": Word(
            "slope of a linear difference in trends that gives a significant "
            "coefficient before treatment in half of all samples",
            "outcome units per period",
        ),
        "detectable_slope_80": Word(
            "the same in 80% of all samples", "outcome units per period"
        ),
        "n_positive_weights": Word(
            "treated rows whose effect has positive weight in the coefficient"
        ),
        "n_negative_weights": Word(
            "treated rows whose effect has negative weight in the coefficient"
        ),
        "effect_spread_zero": Word(
            "smallest standard deviation of the effects with which their mean can be "
            "zero, given the coefficient",
            "as the estimate",
        ),
        "effect_spread_opposite": Word(
            "smallest standard deviation of the effects with which all can have the "
            "sign opposite to the coefficient's",
            "as the estimate",
        ),
        "breakdown_relative_magnitudes": Word(
            "largest step of the difference in trends after treatment, as a multiple of "
            "the largest before it, up to which the interval excludes zero; 0 if it "
            "never does"
        ),
        "breakdown_smoothness": Word(
            "largest change per period in the slope of the difference in trends up to "
            "which the interval excludes zero; 0 if it never does",
            "outcome units",
        ),
    }
)

TESTS: Mapping[str, Word] = MappingProxyType(
    {
        "joint_pretrend": Word("all pre-treatment event-time coefficients are zero"),
        "joint_pretrend_cells": Word(
            "all cohort-by-period effects before treatment are zero"
        ),
        "joint_pretrend_slope": Word(
            "before treatment the outcome's change is unrelated to the dose to come, "
            "on average over doses, in every period"
        ),
        "constant_dose_response": Word("the effect is the same at every dose"),
        "linear_dose_response": Word("the effect is one line in the dose"),
        "joint_comparisons": Word(
            "effects are the same against every cohort that they are compared with"
        ),
        "implied_density": Word(
            "parallel trends imply no negative share of untreated outcomes in any bin"
        ),
        "joint_leads": Word("all lead coefficients are zero"),
        "joint_treatment": Word("all treatment coefficients are zero"),
        "lm_lag": Word("no lag of the outcome (Lagrange multiplier)"),
        "lm_error": Word("no spatial correlation of the errors (Lagrange multiplier)"),
        "robust_lm_lag": Word(
            "no lag of the outcome, whether or not the errors are spatial"
        ),
        "robust_lm_error": Word(
            "no spatial errors, whether or not the outcome is lagged"
        ),
        "wald_lag": Word("covariates of the neighbours do not matter (theta = 0)"),
        "wald_error": Word("lags only filter the errors (theta + rho beta = 0)"),
        "lr_lag": Word("the Durbin model is a SAR model (likelihood ratio)"),
        "lr_error": Word("the Durbin model is a SEM model (likelihood ratio)"),
        "hausman": Word(
            "random unit effects would do: they are unrelated to covariates"
        ),
        "mundlak": Word("the same by the covariates' unit means, always defined"),
        "pesaran_cd": Word("residuals of different units are unrelated"),
        "joint_significance": Word(
            "the treatment does not move the mediator, or the mediator not the outcome"
        ),
        "linear_interaction": Word("the effect is one line in the moderator"),
        "no_interference": Word(
            "the treatment of neighbours does not move the outcome; where it does, what "
            "compares units by their own treatment alone is flagged"
        ),
        "difference": Word("two estimates are equal"),
        "equality": Word("several estimates are equal"),
        "rmspe_ratio": Word(
            "no effect on any unit: the ratio of the control's errors after and before "
            "treatment is as that of untreated units"
        ),
        "placebo_leads": Word(
            "no effect in the last periods before treatment, predicted from the others"
        ),
        "equivalence": Word(
            "the mean effect before treatment is as large as the bound or larger (two "
            "one-sided tests): a small p value says that it is not"
        ),
        "randomization": Word("sharp null of no effect for any unit"),
        "kleibergen_paap_lm": Word(
            "underidentification: the instruments do not move the treatments separately"
        ),
        "hansen_j": Word("all instruments give the same effect (two-step GMM)"),
        "sargan": Word("all instruments give the same effect, homoskedastic errors"),
        "wu_hausman": Word("the treatment is exogenous, so OLS is as good"),
        "anderson_rubin": Word(
            "no effect, a test that holds however weak the instruments are"
        ),
        "anderson_rubin_bootstrap": Word(
            "the same, with the p value of a wild cluster bootstrap"
        ),
    }
)


def describe(name: str) -> Word | None:
    """The word, wherever it stands."""
    for part in (COLUMNS, ESTIMANDS, SCALARS, TESTS):
        if name in part:
            return part[name]
    return None
